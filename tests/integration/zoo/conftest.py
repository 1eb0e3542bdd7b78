"""One cache of zoo models for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def zoo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that starts empty; tests pull what they need into it."""
    return tmp_path_factory.mktemp("zoo-home")
