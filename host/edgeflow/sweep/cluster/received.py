"""Files that home sent to a lab host, each under its SHA-256: what is there is not sent again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

_KEPT_S = 14 * 24 * 3600.0


class Received:
    """A folder of files. Anything in it may be deleted while no job runs. Several devices may share it."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, and throws away what was not used for two weeks. Raises OSError."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        for path in folder.iterdir():
            if now - path.stat().st_mtime > _KEPT_S:
                path.unlink(missing_ok=True)

    def path(self, sha256: str) -> Path:
        return self.folder / sha256

    def missing(self, wanted: Iterable[str]) -> list[str]:
        """Those that are not here. Those that are here stay for another while."""
        lacking = []
        for sha256 in wanted:
            try:
                os.utime(self.path(sha256))
            except FileNotFoundError:
                lacking.append(sha256)
        return lacking

    def take(self, sha256: str, offset: int, total: int, data: bytes, *, sender: str) -> bool:
        """The next piece of a file. False: it is not the next one, or the whole is not what it should be,
        and the file has to be sent from its beginning. Raises OSError.
        """
        part = self.folder / f".{sha256}.{os.getpid()}.{sender}"
        have = part.stat().st_size if offset and part.exists() else 0
        if have != offset:
            part.unlink(missing_ok=True)
            return False
        with part.open("ab" if offset else "wb") as file:
            file.write(data)
        if offset + len(data) < total:
            return True
        with part.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        if whole:
            part.replace(self.path(sha256))
        else:
            part.unlink()
        return whole
