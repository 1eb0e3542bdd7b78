"""One process at a time on a sweep."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from edgeflow.errors import UsageError
from edgeflow.holding import held


def sweep_lock(home: Path, sweep_id: str) -> AbstractContextManager[None]:
    """Holds a sweep until the end of the block or of the process. Raises UsageError naming who holds it."""

    def busy(holder: str) -> UsageError:
        return UsageError(
            f"sweep {sweep_id} is run by {holder}",
            hint="wait for it, or end that process and resume the sweep",
        )

    return held(home / "sweeps" / f"{sweep_id}.lock", busy)
