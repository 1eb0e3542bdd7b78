"""The build id: a hash of the agent's own sources, the same in a checkout, a wheel and a zipapp."""

from __future__ import annotations

import os
from typing import Dict, List

HOST_ONLY = frozenset(("bundle.py", "_build.py", "py.typed"))
"""Files of the package that are not part of what runs on a device."""


def sources() -> Dict[str, bytes]:
    """Relative path -> content of every module of the agent, sorted, read from the package's folder."""
    root = os.path.dirname(os.path.abspath(__file__))
    found: List[str] = []
    for folder, _, names in os.walk(root):
        found.extend(os.path.join(folder, name) for name in names if name.endswith(".py"))
    relative = sorted(os.path.relpath(path, root).replace(os.sep, "/") for path in found)
    contents = {}
    for name in relative:
        if name not in HOST_ONLY:
            with open(os.path.join(root, name), "rb") as file:
                contents[name] = file.read()
    return contents


def build_of(contents: Dict[str, bytes]) -> str:
    """The first 16 hex digits of the SHA-256 over names, lengths and contents."""
    import hashlib  # brings OpenSSL's library with it: a bundled core does without

    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(b"%s\0%d\0" % (name.encode("utf-8"), len(contents[name])))
        digest.update(contents[name])
    return digest.hexdigest()[:16]


def own_build() -> str:
    """The build id of the running agent: written into a bundle, computed from the sources elsewhere."""
    try:
        from edgeflow_agent import _build  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return build_of(sources())
    return str(_build.BUILD)
