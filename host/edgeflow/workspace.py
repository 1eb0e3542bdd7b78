"""Where edgeflow keeps things for one user: cache, tools, store, zoo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeflow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders that one call works in: the user's home of edgeflow and the current folder."""

    home: Path
    cwd: Path
    devices_file: Path | None = None

    @classmethod
    def default(cls, *, devices_file: Path | None = None) -> Workspace:
        """EDGEFLOW_HOME (or the platform's user data folder) and the current folder."""
        from edgeflow.config.home import edgeflow_home

        return cls(home=edgeflow_home(), cwd=Path.cwd(), devices_file=devices_file)

    @property
    def cache_dir(self) -> Path:
        return self.home / "cache"

    @property
    def tools_dir(self) -> Path:
        return self.home / "tools"

    @property
    def toolchain_dir(self) -> Path:
        """Compilers and CMake that edgeflow brought itself (edgeflow toolchain install)."""
        return self.home / "toolchains"

    @property
    def store_path(self) -> Path:
        return self.home / "results.db"

    @property
    def agent_dir(self) -> Path:
        """Agents built by this host."""
        return self.home / "agents"

    def ensure_home(self) -> None:
        """Creates the home and proves it writable, before any slow work. Raises UsageError."""
        probe = self.home / ".writable"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.home}: {error.strerror or error}",
                hint="set EDGEFLOW_HOME to a folder that you can write to",
            ) from error
