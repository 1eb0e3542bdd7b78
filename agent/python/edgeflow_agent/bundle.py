"""Makes the agent's zipapp. Used by the host; not part of the bundle."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from edgeflow_agent.identity import build_of, sources

EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = b"import sys\n\nfrom edgeflow_agent.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"


class BuiltAgent(NamedTuple):
    """A zipapp and its build id."""

    path: Path
    build: str


def build_agent(out: Path) -> BuiltAgent:
    """Writes the agent as a zipapp to the file `out`, atomically; run it with `python3 OUT core --work W`.

    The same sources give the same bytes: sorted names, fixed times, no compression (whose output would differ
    between zlib versions). Raises OSError.
    """
    contents = sources()
    build = build_of(contents)
    members = {"edgeflow_agent/" + name: content for name, content in contents.items()}
    members["edgeflow_agent/_build.py"] = b'BUILD = "%s"\n' % build.encode("ascii")
    members["__main__.py"] = MAIN
    out.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=str(out.parent), prefix=out.name)
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name in sorted(members):
                    entry = zipfile.ZipInfo(name, EPOCH)
                    entry.external_attr = 0o644 << 16
                    entry.create_system = 3
                    archive.writestr(entry, members[name])
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, str(out))
    except BaseException:
        os.unlink(temporary)
        raise
    return BuiltAgent(out, build)
