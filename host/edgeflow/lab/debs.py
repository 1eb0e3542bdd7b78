"""Single Debian packages, unpacked into a folder by an apt with lists of its own: nothing is installed."""

from __future__ import annotations

import re
from pathlib import Path

from edgeflow.lab.commands import LabError, run
from edgeflow.lab.requirements import KEYRING, debian_mirror

_FETCH_S = 600.0
_CONFIG = """\
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "{root}/lists";
Dir::Cache "{root}/cache";
APT::Architectures {{ "amd64"; "arm64"; }};
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


class Debs:
    """An apt for one suite, for amd64 and arm64, in the folder `root`; reads its lists first.

    Raises LabError.
    """

    def __init__(self, root: Path, suite: str) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        source = f"deb [signed-by={KEYRING} arch=amd64,arm64] {debian_mirror()} {suite} main\n"
        (root / "sources.list").write_text(source)
        (root / "apt.conf").write_text(_CONFIG.format(root=root))
        self._root = root
        self._environment = {"APT_CONFIG": str(root / "apt.conf")}
        self._suite = suite
        self._run(["apt-get", "-qq", "update"])

    def named_by(self, package: str, pattern: str) -> str:
        """The package among what `package` depends on whose name matches. Raises LabError."""
        shown = self._run(["apt-cache", "show", "--no-all-versions", package])
        for line in shown.splitlines():
            if line.startswith("Depends:") and (found := re.search(pattern, line)):
                return found[0]
        raise LabError(f"{package} of Debian {self._suite} names no package like {pattern}")

    def unpack(self, package: str, target: Path) -> None:
        """Fetches a package ("name:arch") and unpacks it over `target`; none of its scripts run."""
        name = package.partition(":")[0]
        folder = self._root / name
        folder.mkdir()
        self._run(["apt-get", "-qq", "-o", f"Dir::Cache::archives={folder}", "download", package], folder)
        for path in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", str(path), str(target)], f"unpack {name}", timeout_s=_FETCH_S)
            path.unlink()

    def _run(self, argv: list[str], folder: Path | None = None) -> str:
        what = f"fetch packages of Debian {self._suite}"
        return run(argv, what, timeout_s=_FETCH_S, env=self._environment, folder=folder)
