"""Fetching pnnx with no network: the message names the network, not the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow_converters.errors import ToolMissing
from edgeflow_converters.tools import ensure_pnnx


def test_no_network_is_what_the_message_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens at the discard port
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(ToolMissing, match="the package index cannot be reached") as caught:
        ensure_pnnx(tmp_path / "tools", lambda phase: None)
    assert "No matching distribution" not in caught.value.message
    assert not [path for path in (tmp_path / "tools").iterdir() if path.suffix != ".lock"]
