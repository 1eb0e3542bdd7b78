"""Where edgeflow keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.config.home import edgeflow_home
from edgeflow.errors import UsageError


def test_the_variable_decides_and_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEFLOW_HOME", "not/yet/there")
    assert edgeflow_home() == tmp_path / "not" / "yet" / "there"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("EDGEFLOW_HOME", "~/flow")
    assert edgeflow_home() == tmp_path / "me" / "flow"


def test_without_it_the_platform_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLOW_HOME", "")
    assert edgeflow_home().is_absolute()
    assert edgeflow_home().name == "edgeflow"


def test_a_file_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEFLOW_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="is not a folder"):
        edgeflow_home()
