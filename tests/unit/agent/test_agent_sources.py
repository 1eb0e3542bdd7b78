"""The agent's promises about itself: old Python, standard library only, one build id, the same bytes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import edgeflow_agent
from edgeflow_agent.bundle import build_agent
from edgeflow_agent.identity import build_of, own_build, sources

PACKAGE = Path(edgeflow_agent.__file__).parent
RUNTIME_MODULES = {  # where they are not the backend's name
    "mnn": {"_mnncengine"},
    "snpe": {"onnxruntime", "onnxruntime_qnn"},
    "tflite": {"ai_edge_litert"},
}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES)
def test_sources_are_python_38_and_standard_library(module: str) -> None:
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"), feature_version=(3, 8))
    foreign = imported(tree) - set(sys.stdlib_module_names) - {"edgeflow_agent"}
    runtime = Path(module).stem
    own = {"numpy"} | RUNTIME_MODULES.get(runtime, {runtime})
    allowed = own if module.startswith("backends/") else set()
    assert foreign <= allowed


def test_the_bundle_is_the_same_bytes_each_time_and_knows_its_build(tmp_path: Path) -> None:
    first, second = build_agent(tmp_path / "a.pyz"), build_agent(tmp_path / "sub" / "b.pyz")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.build == second.build == own_build() and len(first.build) == 16
    told = subprocess.run(
        [sys.executable, str(first.path), "build"], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == first.build
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.pyz"]


def test_any_change_of_a_source_is_another_build() -> None:
    contents = sources()
    for name in contents:
        assert build_of({**contents, name: contents[name] + b"#"}) != build_of(contents)


def test_the_core_imports_no_runtime_and_no_numpy() -> None:
    code = (
        "import sys, edgeflow_agent.core, edgeflow_agent.daemon, edgeflow_agent.backends.base as base\n"
        "base.available()\n"
        "heavy = ('numpy', 'ncnn', 'onnxruntime', 'hashlib', 'asyncio')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "argv",
    [[], ["core"], ["dance", "--work", "x"], ["core", "--force", "--work", "x"], ["core", "--wrok", "x"]],
)
def test_a_wrong_command_line_prints_the_usage_and_exits_2(argv: list[str], tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "edgeflow_agent", *argv],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert told.returncode == 2
    assert "usage: agent COMMAND" in told.stderr
    assert list(tmp_path.iterdir()) == []
