"""One version, everywhere."""

from __future__ import annotations

import edgeflow
import edgeflow_agent


def test_host_and_agent_are_of_one_version() -> None:
    assert edgeflow.__version__ == edgeflow_agent.__version__
