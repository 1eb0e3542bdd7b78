"""Global options are found wherever they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.cli.context import GlobalOptions, split_globals
from edgeflow.cli.options import parse_cores
from edgeflow.errors import UsageError


@pytest.mark.parametrize(
    ("argv", "options", "rest"),
    [
        (["--json", "deploy", "m"], GlobalOptions(as_json=True), ["deploy", "m"]),
        (["deploy", "m", "--json"], GlobalOptions(as_json=True), ["deploy", "m"]),
        (["deploy", "--devices-file", "f.yaml"], GlobalOptions(Path("f.yaml")), ["deploy"]),
        (["--devices-file=f.yaml", "deploy"], GlobalOptions(Path("f.yaml")), ["deploy"]),
        (["deploy", "--", "--json"], GlobalOptions(), ["deploy", "--", "--json"]),
        (["--quiet", "x", "--debug"], GlobalOptions(quiet=True, debug=True), ["x"]),
    ],
)
def test_split_globals(argv: list[str], options: GlobalOptions, rest: list[str]) -> None:
    assert split_globals(argv) == (options, rest)


@pytest.mark.parametrize("argv", [["--devices-file"], ["--devices-file="]])
def test_devices_file_needs_a_name(argv: list[str]) -> None:
    with pytest.raises(UsageError, match="--devices-file"):
        split_globals(argv)


@pytest.mark.parametrize(
    ("text", "cores"), [(None, None), ("0", (0,)), ("4-7", (4, 5, 6, 7)), ("2,0-1,1", (0, 1, 2))]
)
def test_cores(text: str | None, cores: tuple[int, ...] | None) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize("text", ["", "a", "3-1", "-1", "1,,2", "0-99999"])
def test_cores_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--affinity"):
        parse_cores(text)
