"""What is printed is what was said."""

from __future__ import annotations

import pytest

from edgeflow.cli import console


def test_names_with_colons_are_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit("energy  not measurable: power_supply:battery: 5 mW in the loop")
    assert "power_supply:battery: 5 mW" in capsys.readouterr().out
