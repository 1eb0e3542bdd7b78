"""Environments of converters: found Pythons, made once, whole or not at all.

A stand-in plays Python, venv and pip: it notes each call, and does what FAKE_PIP says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeflow_converters import interpreters
from edgeflow_converters.environments import Environment, isolated
from edgeflow_converters.errors import CacheUnwritable, ToolMissing
from edgeflow_converters.locks import Lock, load_locks, parts_of, read_lock

STAND_IN = f"""#!{sys.executable} -IS
import os, shutil, sys, time
home = os.environ["FAKE_HOME"]
words = sys.argv[1:]
if "-c" in words:
    if os.path.basename(sys.argv[0]) == "python3.91":
        sys.exit("this one is broken")
    print("9." + os.path.basename(sys.argv[0]).split(".")[-1])
elif "venv" in words:
    os.makedirs(words[-1] + "/bin")
    shutil.copy(sys.argv[0], words[-1] + "/bin/python")
elif "pip" in words:
    open(home + "/pip.log", "a").write(" ".join(words) + "\\n")
    open(os.path.dirname(sys.argv[0]) + "/half", "w").close()
    does = os.environ.get("FAKE_PIP", "")
    if does == "fail":
        sys.exit("No matching distribution found")
    if does == "wait":
        while not os.path.exists(home + "/go"):
            time.sleep(0.02)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python but those that a test puts there."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR", "FAKE_PIP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FAKE_HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    return home


def put_python(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


def lock_in(folder: Path, text: str = "demo==1 --hash=sha256:00\n") -> Lock:
    path = folder / "demo.lock"
    told = '{"python": ["9.7", "9.6"], "disk_mb": 1, "runtimes": ["demo"], "what": "nothing"}'
    path.write_text(f"# edgeflow: {told}\n{text}")
    return read_lock(path)


def test_pythons_are_found_on_path_in_pyenv_and_in_uvs_store(machine: Path) -> None:
    assert interpreters.find_interpreter(["9.7", "9.6"]) is None
    in_uv = put_python(machine / ".local/share/uv/python/cpython-9.6.2-linux/bin/python9.6")
    assert interpreters.find_interpreter(["9.7", "9.6"]) == in_uv
    in_pyenv = put_python(machine / ".pyenv/versions/9.7.1/bin/python9.7")
    assert interpreters.find_interpreter(["9.7", "9.6"]) == in_pyenv
    on_path = put_python(machine / "bin/python9.7")
    assert interpreters.find_interpreter(["9.7"]) == on_path


def test_a_python_that_lies_about_itself_or_does_not_start_is_passed_over(machine: Path) -> None:
    put_python(machine / "bin/python3")  # says 9.python3
    put_python(machine / ".pyenv/versions/3.91.0/bin/python3.91")
    assert interpreters.find_interpreter(["3.91"]) is None


def test_an_environment_is_named_by_its_lock(machine: Path, tmp_path: Path) -> None:
    first = Environment(lock_in(tmp_path), tmp_path / "tools")
    second = Environment(lock_in(tmp_path, "demo==2 --hash=sha256:00\n"), tmp_path / "tools")
    assert first.folder.name.startswith("demo-") and first.folder != second.folder


def test_it_is_made_once_from_the_lock_with_hashes(machine: Path, tmp_path: Path) -> None:
    put_python(machine / ".pyenv/versions/9.7.1/bin/python9.7")
    tool = Environment(lock_in(tmp_path), tmp_path / "tools")
    status = tool.status()
    assert not status.ready and status.on_demand and status.fix == "edgeflow toolchain install demo"
    assert not (tmp_path / "tools").exists()
    told: list[str] = []
    python = tool.ensure(told.append)
    assert python == tool.ensure(told.append) and tool.status().ready
    assert told == ["install demo, once: 1 MB on disk"]
    (call,) = (machine / "pip.log").read_text().splitlines()
    assert "--require-hashes" in call and "--only-binary :all:" in call and str(tool.lock.path) in call
    assert sorted(entry.name for entry in tool.folder.parent.iterdir()) == [".demo.lock", tool.folder.name]


def test_without_a_python_it_says_which_and_how_to_get_it(machine: Path, tmp_path: Path) -> None:
    tool = Environment(lock_in(tmp_path), tmp_path / "tools")
    status = tool.status()
    assert not status.ready and not status.on_demand
    with pytest.raises(ToolMissing, match=r"needs Python 9\.7 or 9\.6, and none was found") as caught:
        tool.ensure(print)
    assert "pyenv install 9.7" in caught.value.hint and "uv python install 9.7" in caught.value.hint
    assert status.fix == caught.value.hint


def test_a_failed_install_leaves_nothing_and_names_the_command(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_python(machine / "bin/python9.7")
    tool = Environment(lock_in(tmp_path), tmp_path / "tools")
    monkeypatch.setenv("FAKE_PIP", "fail")
    with pytest.raises(ToolMissing, match="No matching distribution") as caught:
        tool.ensure(lambda phase: None)
    assert "edgeflow toolchain install demo" in caught.value.hint
    assert [entry.name for entry in tool.folder.parent.iterdir()] == [".demo.lock"]
    monkeypatch.delenv("FAKE_PIP")
    assert tool.ensure(lambda phase: None).is_file()


def test_an_environment_whose_python_was_uninstalled_is_made_again(machine: Path, tmp_path: Path) -> None:
    put_python(machine / "bin/python9.7")
    tool = Environment(lock_in(tmp_path), tmp_path / "tools")
    tool.ensure(lambda phase: None)
    tool.python.unlink()
    tool.python.symlink_to(tmp_path / "gone")
    assert not tool.ready and tool.status().on_demand
    assert tool.ensure(lambda phase: None).is_file() and tool.ready


def test_a_folder_that_cannot_be_written_is_no_missing_tool(machine: Path, tmp_path: Path) -> None:
    put_python(machine / "bin/python9.7")
    (tmp_path / "tools").write_text("a file")
    with pytest.raises(CacheUnwritable, match="tools"):
        Environment(lock_in(tmp_path), tmp_path / "tools").ensure(lambda phase: None)


ENSURE = """
import sys
from pathlib import Path
from edgeflow_converters.environments import Environment
from edgeflow_converters.locks import parts_of, read_lock
told = lambda phase: print(phase, flush=True)
print(Environment(read_lock(Path(sys.argv[1])), Path(sys.argv[2])).ensure(told), flush=True)
"""


def start_ensuring(lock: Lock, tools: Path, home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "FAKE_PIP": "wait", "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", ENSURE, str(lock.path), str(tools)]
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def test_of_two_at_once_one_makes_it_and_the_other_waits(machine: Path, tmp_path: Path) -> None:
    put_python(machine / "bin/python9.7")
    lock = lock_in(tmp_path)
    first = start_ensuring(lock, tmp_path / "tools", machine)
    assert first_line(first).startswith("install demo")
    second = start_ensuring(lock, tmp_path / "tools", machine)
    assert first_line(second) == "wait for another process that installs demo"
    (machine / "go").touch()
    answers = {process.communicate(timeout=30)[0].strip() for process in (first, second)}
    assert answers == {str(Environment(lock, tmp_path / "tools").python)}
    assert len((machine / "pip.log").read_text().splitlines()) == 1


def test_one_killed_in_the_middle_counts_for_nothing(machine: Path, tmp_path: Path) -> None:
    put_python(machine / "bin/python9.7")
    lock = lock_in(tmp_path)
    tool = Environment(lock, tmp_path / "tools")
    killed = start_ensuring(lock, tmp_path / "tools", machine)
    wait_for(machine / "pip.log")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)
    assert not tool.ready
    assert list(tool.folder.parent.glob(".making-*"))  # kill -9 left it; the next one clears it away
    tool.ensure(lambda phase: None)
    assert sorted(entry.name for entry in tool.folder.parent.iterdir()) == [".demo.lock", tool.folder.name]


UV = f"""#!{sys.executable} -IS
import os, sys
home = os.environ["FAKE_HOME"]
open(home + "/uv.log", "a").write(" ".join(sys.argv[1:]) + "\\n")
if os.environ.get("FAKE_UV") == "fail":
    sys.exit("uv reaches no index")
if sys.argv[1] == "venv":
    os.makedirs(sys.argv[-1] + "/bin")
    open(sys.argv[-1] + "/bin/python", "w").close()
    os.chmod(sys.argv[-1] + "/bin/python", 0o755)
"""


def test_uv_is_used_where_there_is_one_and_brings_the_python_too(machine: Path, tmp_path: Path) -> None:
    put_python(machine / "bin/uv").write_text(UV)
    tool = Environment(lock_in(tmp_path), tmp_path / "tools")
    assert tool.status().on_demand
    tool.ensure(lambda phase: None)
    venv, pip = (machine / "uv.log").read_text().splitlines()
    assert "--python 9.7 " in venv and "--require-hashes" in pip
    assert not (machine / "pip.log").exists()


def test_where_uv_fails_pip_is_tried_and_that_is_told(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_python(machine / "bin/uv").write_text(UV)
    put_python(machine / "bin/python9.7")
    monkeypatch.setenv("FAKE_UV", "fail")
    told: list[str] = []
    assert Environment(lock_in(tmp_path), tmp_path / "tools").ensure(told.append).is_file()
    assert "uv reaches no index" in told[1] and told[1].endswith("try pip")


def test_every_lock_of_ours_is_pinned_and_hashed() -> None:
    locks = load_locks()
    assert {"onnx2tf", "ai-edge-quantizer", "pytorch"} <= set(locks)
    for lock in locks.values():
        text = lock.path.read_text().replace("\\\n", " ")
        packages = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        assert packages
        for line in packages:
            assert "==" in line and "--hash=sha256:" in line, line


def test_a_package_index_is_asked_for_its_package_alone_and_nothing_beyond_the_lock_is_brought() -> None:
    lock = load_locks()["pytorch"]
    (rest, nowhere), (own, index) = parts_of(lock)
    assert nowhere is None and index == lock.package_index and lock.complete
    assert own.startswith("torch==") and own.count("==") == 1 and "\ntorch==" not in rest
    pins = [line for line in lock.path.read_text().splitlines() if "==" in line and line[0] != "#"]
    assert sum("==" in line and line[0] != "#" for line in (rest + own).splitlines()) == len(pins)
    assert not any(line.startswith(("nvidia", "cuda", "triton")) for line in pins)


def test_a_lock_that_does_not_say_what_it_is_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("demo==1\n")
    with pytest.raises(ValueError, match=r"x\.lock"):
        read_lock(tmp_path / "x.lock")


def test_an_isolated_program_sees_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "ours.py").touch()
    argv = isolated(Path(sys.executable), "-c", "import importlib.util as u; print(u.find_spec('ours'))")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "None"
