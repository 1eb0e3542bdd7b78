"""YAML files: what they mean, and where errors point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeflow.config.yaml_source import load_yaml
from edgeflow.errors import UsageError


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def failure(folder: Path, text: str | bytes) -> str:
    with pytest.raises(UsageError) as caught:
        load_yaml(write(folder, text))
    assert "\n" not in caught.value.message
    return caught.value.message.removeprefix(str(folder) + "/")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-5", -5),
        (".5", 0.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("0x1F", "0x1F"),
        ("'7'", "7"),
        ("1.0.1", "1.0.1"),
    ],
)
def test_plain_scalars_mean_what_they_look_like(tmp_path: Path, text: str, value: Any) -> None:
    loaded = load_yaml(write(tmp_path, f"key: {text}\n")).data["key"]
    assert loaded == value
    assert type(loaded) is type(value)


def test_lines_of_nested_keys(tmp_path: Path) -> None:
    document = load_yaml(write(tmp_path, "a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n"))
    assert document.line_of(("b", 1, "z")) == 5
    assert document.line_of(("b", 1, "absent", "deeper")) == 4
    assert document.line_of(()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "file.yaml:1: the file is empty"),
        ("# only a comment\n", "file.yaml:1: the file is empty"),
        ("- a\n- b\n", "file.yaml:1: expected 'key: value' lines, got a list"),
        ("word\n", "file.yaml:1: expected 'key: value' lines, got a single value"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "file.yaml:4: a.b: duplicate key (first on line 2)"),
        ("a:\n\tb: 1\n", "file.yaml:2: a tab indents this line; YAML allows only spaces"),
        ("a: 1\n---\nb: 2\n", "file.yaml:2: not YAML: but found another document"),
        (
            "a: !!python/name:os.system x\n",
            "file.yaml:1: the tag tag:yaml.org,2002:python/name:os.system is not",
        ),
        ("a: &x [*x]\n", "file.yaml:1: an alias inside its own anchor"),
        ("[a, b]: 1\n", "file.yaml:1: a key must be a word"),
        ("a: [1, 2\nb: 3\n", "file.yaml:2: not YAML:"),
        (b"a: \xff\n", "file.yaml: not UTF-8 text (byte 3)"),
        ("a: \x00\n", "file.yaml: not YAML:"),
    ],
)
def test_what_is_not_a_mapping_is_refused_with_its_position(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert failure(tmp_path, text).startswith(expected)


def test_aliases_cannot_explode(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than" in failure(tmp_path, "\n".join(levels))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_yaml(tmp_path / "absent.yaml")
    with pytest.raises(UsageError, match="directory"):
        load_yaml(tmp_path)
