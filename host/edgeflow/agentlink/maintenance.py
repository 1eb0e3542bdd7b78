"""The agent's commands that keep its work folder, run through any transport (agent/PROTOCOL.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.faults import fault
from edgeflow.errors import AgentError

if TYPE_CHECKING:
    from edgeflow.agentlink.provision import InstalledAgent

_TIMEOUT_S = 600.0  # unpacking 200 MB onto the memory card of a small board


def run_command(agent: InstalledAgent, command: str, *options: str, runtime: str = "") -> dict[str, Any]:
    """The JSON document that a command of the agent prints.

    Raises the EdgeflowError of the error that it tells, AgentError when it tells nothing that is known.
    """
    done = agent.transport.run(agent.argv(command, *options), timeout_s=_TIMEOUT_S)
    try:
        document: dict[str, Any] = json.loads(done.text.strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        words = done.stderr.decode("utf-8", "replace").strip()
        last = words.splitlines()[-1] if words else f"exit code {done.exit_code}"
        raise AgentError(f"{agent.device}: its agent cannot {command}: {last}", detail=words) from error
    if "error" in document:
        raise fault(document["error"], device=agent.device, runtime=runtime)
    return document
