"""runtimes.yaml: what it holds, and how a user names a folder instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import UsageError
from edgeflow.toolchain.products import offered
from edgeflow.toolchain.runtimes import load_runtimes, runtime_named
from edgeflow.toolchain.targets import TARGETS

ENTRY = """\
runtimes:
  ncnn:
    version: "1"
    licence: BSD-3-Clause
    build:
      - {{package: "{package}", kind: sdist, sha256: {sha}, role: source}}
"""


def test_the_file_that_is_shipped_can_be_read() -> None:
    runtimes = load_runtimes()
    (source,) = runtimes["ncnn"].build
    assert (source.index, source.name, source.kind) == ("pypi", "ncnn", "sdist")
    assert source.version == runtimes["ncnn"].version


def test_ncnn_is_compiled_for_every_target() -> None:
    assert all("ncnn" in offered(target) for target in TARGETS.values())


def test_static_programs_of_android_are_those_of_linux() -> None:
    assert offered(TARGETS["android-arm64-static"]) == offered(TARGETS["linux-aarch64"])


@pytest.mark.parametrize(
    ("package", "sha", "words"),
    [
        ("ncnn==1", "0" * 64, "package"),
        ("pypi:ncnn", "0" * 64, "package"),
        ("pypi:ncnn==1", "abc", "sha256"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, package: str, sha: str, words: str) -> None:
    path = tmp_path / "runtimes.yaml"
    path.write_text(ENTRY.format(package=package, sha=sha))
    with pytest.raises(UsageError, match=rf"runtimes.yaml.*{words}"):
        load_runtimes(path)


def test_an_npm_package_may_have_a_scope(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.yaml"
    path.write_text(ENTRY.format(package="npm:@scope/name@1.2.3", sha="0" * 64))
    (source,) = load_runtimes(path)["ncnn"].build
    assert (source.index, source.name, source.version) == ("npm", "@scope/name", "1.2.3")


def test_an_unknown_runtime_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"runtime 'ncn'; .*ncnn"):
        runtime_named("ncn", load_runtimes())
