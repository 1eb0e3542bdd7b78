"""The daemon as a systemd user unit, on a real systemd: in namespaces of its own, as root on Linux."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import environment

SYSTEMD = next(
    (path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), ""
)
CGROUP = next(
    (
        path
        for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"))
        if (path / "cgroup.procs").exists()
    ),
    None,
)

# A cgroup2 tree, a /run and process ids of their own are all that `systemd --user` asks for. The user's
# systemd is ended and started anew, as a reboot does: what is enabled comes back.
# $1 systemd, $2 folder, $3 python, $4 work folder.
SCENE = r"""
set -e
umount -R /sys/fs/cgroup; mount -t tmpfs none /sys/fs; mkdir /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/user/0; chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 HOME=$2/home-of-user; mkdir -p "$HOME"
unset XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS
cd "$2"
boot() {
  "$1" --user --log-target=null & manager=$!
  until systemctl --user show-environment >/dev/null 2>&1; do kill -0 $manager; sleep 0.05; done
}
edgeflow() { "$python" -m edgeflow.cli.main --quiet --json "$@"; }
python=$3
boot "$1"
edgeflow agent start -d board --service > first.json
edgeflow agent start -d board --service > again.json
kill $manager; wait $manager || true
edgeflow agent status -d board > off.json
boot "$1"
until systemctl --user -q is-active 'edgeflow-agent-*'; do sleep 0.05; done
edgeflow agent status -d board > rebooted.json
edgeflow agent uninstall -d board > removed.json
systemctl --user list-units --all --no-legend 'edgeflow*' > units.txt
find "$HOME" -name '*edgeflow*' > files.txt
[ ! -e "$4" ]
kill $manager; wait $manager || true
"""


@pytest.fixture
def own_cgroup() -> Iterator[Path]:
    """A cgroup that is ours to divide; removed with everything below it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for namespaces in which a systemd can run")
    if not SYSTEMD or CGROUP is None or shutil.which("unshare") is None:
        pytest.skip("needs systemd, unshare and cgroup v2 on this machine")
    folder = CGROUP / f"edgeflow-test-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
        folder.rmdir()


def test_the_service_comes_back_after_a_reboot_and_goes_without_a_trace(
    own_cgroup: Path, home: Path, tmp_path: Path
) -> None:
    # Every character that systemd reads as something else stands in the path.
    work = tmp_path / 'wo rk%n$HOME"x'
    (tmp_path / "devices.yaml").write_text(
        json.dumps({"devices": {"board": {"transport": "local", "work_dir": str(work)}}})
    )
    enter = f'echo $$ > {own_cgroup}/cgroup.procs; exec "$@"'
    namespaces = ["unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc"]
    scene = ["bash", "-c", SCENE, "scene", SYSTEMD, str(tmp_path), sys.executable, str(work)]
    done = subprocess.run(
        ["bash", "-c", enter, "enter", *namespaces, *scene],
        env=environment(home), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, again, off, rebooted, removed = (
        _document(tmp_path, name) for name in ("first", "again", "off", "rebooted", "removed")
    )
    assert first["running"] and first["service"].startswith("edgeflow-agent-")
    assert again["already"] and again["pid"] == first["pid"]
    assert not off["running"]
    assert rebooted["running"] and rebooted["pid"] != first["pid"]
    assert removed["removed"] and removed["service"]
    assert (tmp_path / "units.txt").read_text() == ""
    assert (tmp_path / "files.txt").read_text() == ""


def _document(folder: Path, name: str) -> dict[str, Any]:
    with contextlib.suppress(json.JSONDecodeError):
        parsed: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        return parsed
    pytest.fail(f"{name}: {(folder / f'{name}.json').read_text()!r}")
