"""What a user asks of the main job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeflow.config.devices import AgentKind


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """One model on one device with one runtime, and how to measure it.

    `model`: a path, a recipe, `zoo:NAME`, or None for this folder's edgeflow.yaml, else the zoo's demo
    model. `threads` and `affinity` None: the device's entry decides, else one thread anywhere.
    `budget_s` None: the mode's own. `agent` None: the device's entry decides, else auto.
    """

    model: str | None = None
    device: str = "local"
    runtime: str = "ncnn"
    precision: str = "fp32"
    accelerator: str = "cpu"
    threads: int | None = None
    affinity: tuple[int, ...] | None = None
    mode: str = "quick"
    budget_s: float | None = None
    agent: AgentKind | None = None
