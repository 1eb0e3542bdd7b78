"""What the converters may import of ours: nothing of the host; of the agent, its reader of .nb files."""

from __future__ import annotations

import ast
from pathlib import Path

import edgeflow_converters

PACKAGE = Path(edgeflow_converters.__file__).parent
OF_THE_AGENT = {"edgeflow_agent.backends.paddlelite_model", "edgeflow_agent.faults.Fault"}
"""An agent has nothing but itself, so what it also reads on a device has its one copy there."""


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_arrow_points_one_way() -> None:
    found = {name for path in PACKAGE.rglob("*.py") for name in imported(path)}
    assert not {name for name in found if name.split(".")[0] == "edgeflow"}
    assert {name for name in found if name.split(".")[0] == "edgeflow_agent"} == OF_THE_AGENT
