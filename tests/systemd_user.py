"""A real `systemd --user` for tests: in namespaces of its own, as root on Linux.

A cgroup2 tree, a /run and process ids of their own are all that it asks for. The user's systemd is ended and
started anew, as a reboot does: what is enabled comes back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

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

# $1 systemd, $2 folder, then the scene's own words. `boot` and `shut_down` are for scenes.
PRELUDE = r"""
set -e
umount -R /sys/fs/cgroup; mount -t tmpfs none /sys/fs; mkdir /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/user/0; chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 HOME=$2/home-of-user; mkdir -p "$HOME"
unset XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS
cd "$2"
systemd=$1
boot() {
  "$systemd" --user --log-target=null & manager=$!
  until systemctl --user show-environment >/dev/null 2>&1; do kill -0 $manager; sleep 0.05; done
}
shut_down() { kill $manager; wait $manager || true; }
"""


@contextlib.contextmanager
def own_cgroup() -> Iterator[Path]:
    """A cgroup that is ours to divide; removed with everything below it. Skips where that cannot be."""
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


def play(scene: str, folder: Path, *words: str, environment: Mapping[str, str]) -> None:
    """Runs a scene to its end, in `folder`; its words are $3 and on."""
    with own_cgroup() as cgroup:
        enter = f'echo $$ > {cgroup}/cgroup.procs; exec "$@"'
        namespaces = ["unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = ["bash", "-c", PRELUDE + scene, "scene", SYSTEMD, str(folder), *words]
        done = subprocess.run(
            ["bash", "-c", enter, "enter", *namespaces, *script],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
