"""Scripts in interpreters that are kept warm: as if they were started anew, and gone when their holder is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeflow_converters import tool
from edgeflow_converters.errors import ConverterTimeout
from edgeflow_converters.warm import keep_warm
from processes import has_ended


@pytest.fixture
def warm() -> Iterator[None]:
    with keep_warm():
        yield


def python(tmp_path: Path, code: str, *words: str, timeout_s: float = 30.0) -> tool.Finished:
    argv = [sys.executable, "-P", "-c", textwrap.dedent(code), *words]
    return tool.run(argv, name="script", cwd=tmp_path, timeout_s=timeout_s)


@pytest.mark.usefixtures("warm")
def test_a_script_has_its_arguments_its_folder_and_its_log(tmp_path: Path) -> None:
    code = """
        import os, sys, tempfile
        print(sys.argv[1:], os.getcwd() == os.environ["TMPDIR"] == tempfile.gettempdir())
        os.write(2, b"and this")
    """
    finished = python(tmp_path, code, "a", "b c")
    assert finished == tool.Finished(0, "['a', 'b c'] True\nand this")


@pytest.mark.usefixtures("warm")
def test_scripts_share_an_interpreter_and_nothing_that_they_did(tmp_path: Path) -> None:
    parents = []
    for _ in range(2):
        code = """
            import os, sys
            assert "mine" not in sys.modules
            sys.modules["mine"] = os
            print(os.getppid())
        """
        finished = python(tmp_path, code)
        assert finished.returncode == 0
        parents.append(finished.log)
    assert parents[0] == parents[1]


@pytest.mark.usefixtures("warm")
def test_modules_and_files_are_scripts_too(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nprint(__name__, sys.argv[1])\n")
    for words, said in ((["-m", "json.tool", "--help"], "json.tool"), (["script.py", "x"], "__main__ x")):
        finished = tool.run([sys.executable, "-I", *words], name="script", cwd=tmp_path, timeout_s=30)
        assert finished.returncode == 0 and said in finished.log


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("code", "returncode", "said"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('so it is')", 1, "so it is"),
        ("raise ValueError('no good')", 1, "ValueError: no good"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, ""),
        ("import os; os._exit(5)", 5, ""),
        ("import ctypes; ctypes.CDLL(None).printf(b'by native code')", 0, "by native code"),
    ],
)
def test_how_a_script_ends_is_told(code: str, returncode: int, said: str, tmp_path: Path) -> None:
    finished = python(tmp_path, code)
    assert finished.returncode == returncode and said in finished.log
    assert python(tmp_path, "print('the next one')").log == "the next one\n"


@pytest.mark.usefixtures("warm")
def test_a_script_that_is_late_is_killed_with_its_children(tmp_path: Path) -> None:
    code = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("child", "w").write(str(child.pid))
        time.sleep(600)
    """
    with pytest.raises(ConverterTimeout, match="script did not end within 2 s"):
        python(tmp_path, code, timeout_s=2)
    child = int((tmp_path / "child").read_text())
    assert has_ended(child, timeout_s=10)
    assert python(tmp_path, "print('the next one')").returncode == 0


@pytest.mark.usefixtures("warm")
def test_a_tool_that_is_no_python_is_run_as_any_command(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\necho stand-in: $*\n")
    stand_in.chmod(0o755)
    argv = [str(stand_in), "-I", "-m", "tool"]
    finished = tool.run(argv, name="tool", cwd=tmp_path, timeout_s=30)
    assert finished == tool.Finished(0, "stand-in: -I -m tool\n")


@pytest.mark.usefixtures("warm")
def test_a_host_that_died_is_replaced(tmp_path: Path) -> None:
    host = int(python(tmp_path, "import os; print(os.getppid())").log)
    os.kill(host, signal.SIGKILL)
    other = int(python(tmp_path, "import os; print(os.getppid())").log)
    third = int(python(tmp_path, "import os; print(os.getppid())").log)
    assert host not in (other, third)


def test_all_of_it_dies_with_whoever_started_it(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from edgeflow_converters import tool
        from edgeflow_converters.warm import keep_warm
        script = (
            "import os, time; told = open('pids', 'w'); print(os.getpid(), os.getppid(), file=told);"
            "told.close(); time.sleep(600)"
        )
        argv = [sys.executable, "-P", "-c", script]
        with keep_warm():
            tool.run(argv, name="script", cwd=Path(sys.argv[1]), timeout_s=600)
    """
    os.mkfifo(tmp_path / "pids")
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)])
    try:
        pids = [int(word) for word in (tmp_path / "pids").read_text().split()]  # waits until the script runs
        holder.kill()
        for pid in pids:
            assert has_ended(pid, timeout_s=10)
    finally:
        holder.kill()
        holder.wait()
