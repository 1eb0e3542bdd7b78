"""What a failed build says is the compiler's or CMake's own complaint, in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeflow.toolchain.processes import ToolFailed, ask, run


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            "[1/2] Building\na.cc:3:5: error: expected ';'\nninja: build stopped.\n",
            "a.cc:3:5: error: expected ';'",
        ),
        ("CMake Error at CMakeLists.txt:18 (message):\n\n  give -DNAME\n\n\n-- Incomplete\n", "give -DNAME"),
        ("cannot open\n", "cannot open"),
    ],
)
def test_the_cause_is_told(tmp_path: Path, log: str, said: str) -> None:
    argv = [sys.executable, "-c", f"import sys; print({log!r}); sys.exit(2)"]
    with pytest.raises(ToolFailed) as caught:
        run(argv, what="the agent", folder=tmp_path, timeout_s=60, hint="look")
    assert caught.value.message.startswith("the agent: python")
    assert caught.value.message.endswith(f"exited with code 2: {said}")
    assert (caught.value.hint, caught.value.exit_code) == ("look", 6)
    assert log.strip() in caught.value.detail


def test_asking_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert ask([str(tmp_path / "nothing")]) is None
    assert ask([sys.executable, "-c", "raise SystemExit(1)"]) is None
    assert ask([sys.executable, "-c", "print('12.2')"]) == "12.2"
