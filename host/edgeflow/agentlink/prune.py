"""Keeps the work folder of a device from growing without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.maintenance import run_command

if TYPE_CHECKING:
    from edgeflow.agentlink.provision import InstalledAgent
    from edgeflow.progress import Progress

QUOTA_BYTES = 2 << 30
"""What a work folder may hold: models, wheels, agents, results that nobody fetched."""


def prune(agent: InstalledAgent, progress: Progress, *, quota_bytes: int = QUOTA_BYTES) -> dict[str, Any]:
    """Removes what was used longest ago until the quota holds; never what was used within the last hour, nor
    anything while a job runs.

    {"removed": [paths], "freed_bytes", "kept_bytes", "busy"}. Raises DeviceError, AgentError.
    """
    document = run_command(agent, "prune", "--max-bytes", str(quota_bytes))
    if document["removed"]:
        progress.note(
            f"{agent.device}: removed {len(document['removed'])} old files from its work folder "
            f"({document['freed_bytes'] / 1e6:.1f} MB)"
        )
    return document
