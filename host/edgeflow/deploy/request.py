"""What a user asks of the main job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeflow.config.devices import AgentKind


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """One model on one device with one runtime, and how to measure it.

    `model`: a path, a recipe, `zoo:NAME`, or None for this folder's edgeflow.yaml, else the zoo's demo
    model. `threads`, `affinity` and `governor` None: the device's entry decides, else one thread
    anywhere, at the frequency governor that is set there. `budget_s` None: the mode's own. `agent` None: the
    device's entry decides, else auto. `options` of the conversion go before the recipe's.
    """

    model: str | None = None
    device: str = "local"
    runtime: str = "ncnn"
    precision: str = "fp32"
    accelerator: str = "cpu"
    threads: int | None = None
    affinity: tuple[int, ...] | None = None
    governor: str | None = None
    mode: str = "quick"
    budget_s: float | None = None
    agent: AgentKind | None = None
    options: Mapping[str, Any] | None = None
    trust: bool = False  # a model that is a pickle may run what it holds
    shapes: tuple[str, ...] = ()  # "[NAME=]1x3x224x224" of a model that does not say what it takes
