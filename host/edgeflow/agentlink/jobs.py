"""The jobs that a host gives an agent: infer, bench, memory, energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeflow.agentlink.session import Calls, ProgressFn, Reply
from edgeflow.bench.energy import EnergyRun, PowerSource
from edgeflow.converter_errors import converter_errors
from edgeflow.errors import AgentError
from edgeflow_agent import wire
from edgeflow_agent.backends.base import REGISTRY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeflow.bench.energy import EnergyPlan
    from edgeflow.bench.plan import BenchPlan
    from edgeflow_converters.base import Artifact
    from edgeflow_converters.tensors import Tensors

_LOAD_ALLOWANCE_S = 120.0  # importing a runtime and loading a model on a slow board
_ANSWER_SLACK_S = 30.0  # between the agent's own limit and ours: its error says more than our timeout
_MEMORY_RUNS = 3


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What every job on one device has in common: an artifact and how to run it."""

    backend: str
    files: Mapping[str, str]  # role -> sha256, as pushed
    options: Mapping[str, Any]
    threads: int
    affinity: tuple[int, ...] | None
    accelerator: str
    site: str | None = None  # the unpacked wheels that the runtime is in, where the device lacks it
    governor: str | None = None  # CPU frequency governor while a job runs; None: as it is

    @classmethod
    def of(
        cls,
        artifact: Artifact,
        *,
        threads: int,
        affinity: tuple[int, ...] | None,
        accelerator: str,
        site: str | None = None,
        governor: str | None = None,
        native: bool = False,
    ) -> JobSpec:
        return cls(
            backend=artifact.runtime,
            files=files_for(artifact, native=native),
            options=artifact.runtime_options,
            threads=threads,
            affinity=affinity,
            accelerator=accelerator,
            site=site,
            governor=governor,
        )


def files_for(artifact: Artifact, *, native: bool) -> dict[str, str]:
    """Role -> SHA-256 of what an agent of this kind takes: SNPE's worker the .dlc, its stand-in the graph."""
    if artifact.runtime != "snpe":
        return dict(artifact.sha256)
    roles = ("model",) if native else REGISTRY["snpe"].roles
    return {role: artifact.sha256[role] for role in roles}


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """What a bench job measured. Times in ns, on the device's monotonic clock."""

    init_ns: int
    first_ns: int
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    starts_ns: tuple[int, ...]
    stop: str
    sampling: Mapping[str, Any]
    runtime: Mapping[str, Any]
    affinity: tuple[int, ...] | None
    governor: str | None


@dataclass(frozen=True, slots=True)
class MemoryOutcome:
    """RSS of a worker by steps, in bytes. `interpreter_bytes` is None for a native agent."""

    interpreter_bytes: int | None
    runtime_bytes: int
    model_bytes: int
    peak_rss_bytes: int


def prepare(
    session: Calls, backend: str, *, threads: int, affinity: tuple[int, ...] | None, site: str | None
) -> None:
    """Has the agent start the worker of the job that comes next: its runtime loads while the host works."""
    params = {
        "backend": backend,
        "threads": threads,
        "affinity": None if affinity is None else list(affinity),
        "site": site,
    }
    session.call("job.prepare", params, runtime=backend)


def _wired(artifact: Artifact, sample: Tensors, set_index: int) -> list[wire.Tensor]:
    """An input set as the product takes it. Raises UsageError where it holds another value than the product
    is pinned to."""
    from edgeflow_converters.structure import require_pinned

    with converter_errors():
        require_pinned(artifact.pinned, sample)
    return [
        wire_tensor(tensor.runtime_name, tensor.to_runtime(sample[tensor.name]), set_index)
        for tensor in artifact.inputs
    ]


def infer(session: Calls, spec: JobSpec, artifact: Artifact, samples: Sequence[Tensors]) -> list[Tensors]:
    """Runs each input set once on the device; outputs in the source model's names and layouts.

    Raises AgentError when the device's outputs are not those of the artifact in name or size.
    """
    tensors = [tensor for index, sample in enumerate(samples) for tensor in _wired(artifact, sample, index)]
    reply = _run(session, "infer", spec, {}, tensors, limit_s=_LOAD_ALLOWANCE_S + 60.0 * len(samples))
    by_key = {(tensor.set, tensor.name): tensor for tensor in reply.tensors}
    outputs: list[Tensors] = []
    for set_index in range(len(samples)):
        one: dict[str, NDArray[Any]] = {}
        for tensor in artifact.outputs:
            found = by_key.get((set_index, tensor.runtime_name))
            if found is None:
                raise AgentError(f"the device returned no output '{tensor.name}' ({tensor.runtime_name})")
            try:
                one[tensor.name] = tensor.from_runtime(array_of(found))
            except ValueError as error:
                raise AgentError(
                    f"the device returned output '{tensor.name}' with shape {list(found.shape)}, "
                    f"expected {list(tensor.runtime_shape)}"
                ) from error
        outputs.append(one)
    return outputs


def bench(
    session: Calls,
    spec: JobSpec,
    artifact: Artifact,
    sample: Tensors,
    plan: BenchPlan,
    *,
    on_progress: ProgressFn | None = None,
) -> BenchOutcome:
    """Measures one input set by the plan, in a fresh worker process."""
    tensors = _wired(artifact, sample, 0)
    budget_s = (plan.budget_ns + plan.warmup_min_ns) / 1e9
    # A slow device takes its minimum of samples even past the budget: leave room for that.
    limit_s = _LOAD_ALLOWANCE_S + 4 * budget_s
    reply = _run(session, "bench", spec, plan.to_wire(), tensors, limit_s=limit_s, on_progress=on_progress)
    series = {tensor.name: tuple(array_of(tensor).tolist()) for tensor in reply.tensors}
    result = reply.result
    affinity = result["affinity"]
    return BenchOutcome(
        init_ns=result["init_ns"],
        first_ns=result["first_ns"],
        warmup_ns=series["warmup_ns"],
        samples_ns=series["samples_ns"],
        starts_ns=series["starts_ns"],
        stop=result["stop"],
        sampling=result["sampling"],
        runtime=result["runtime"],
        affinity=None if affinity is None else tuple(affinity),
        governor=result["governor"],
    )


def memory(session: Calls, spec: JobSpec, artifact: Artifact, sample: Tensors) -> MemoryOutcome:
    """Measures RSS by steps in a worker of its own, so that no timing disturbs it nor is disturbed."""
    tensors = _wired(artifact, sample, 0)
    result = _run(
        session, "memory", spec, {"runs": _MEMORY_RUNS}, tensors, limit_s=_LOAD_ALLOWANCE_S + 180.0
    ).result
    return MemoryOutcome(
        interpreter_bytes=result["interpreter_bytes"],
        runtime_bytes=result["runtime_bytes"],
        model_bytes=result["model_bytes"],
        peak_rss_bytes=result["peak_rss_bytes"],
    )


def energy(
    session: Calls,
    spec: JobSpec,
    artifact: Artifact,
    sample: Tensors,
    plan: EnergyPlan,
    *,
    on_progress: ProgressFn | None = None,
) -> EnergyRun:
    """Reads the device's power sources idle, in a loop of inferences, and idle again."""
    tensors = _wired(artifact, sample, 0)
    limit_s = _LOAD_ALLOWANCE_S + plan.longest_s
    return energy_run_of(
        _run(session, "energy", spec, plan.to_wire(), tensors, limit_s=limit_s, on_progress=on_progress)
    )


def energy_run_of(reply: Reply) -> EnergyRun:
    """The answer of an energy job (agent/PROTOCOL.md) as values."""
    series = {(tensor.set, tensor.name): tuple(array_of(tensor).tolist()) for tensor in reply.tensors}
    power = reply.result["power"]
    sources = tuple(
        PowerSource(
            name=source["name"],
            covers=source["covers"],
            quantity=source["quantity"],
            refused=source["refused"],
            period_ns=source["period_ns"],
            updates=source["updates"],
            last_error=source["last_error"],
            step=source["step"],
            assumed=tuple(source["assumed"]),
            t_ns=series.get((source["set"], "t_ns"), ()),
            values=series.get((source["set"], source["quantity"]), ()),
        )
        for source in power["sources"]
    )
    windows = power["windows"]
    if windows is None:
        return EnergyRun(sources)
    spans = {name: (begin, end) for name, (begin, end) in windows.items()}
    return EnergyRun(sources, spans, reply.result["inferences"])


def _run(
    session: Calls,
    kind: str,
    spec: JobSpec,
    plan: Mapping[str, Any],
    tensors: Sequence[wire.Tensor],
    *,
    limit_s: float,
    on_progress: ProgressFn | None = None,
) -> Reply:
    params = {
        "kind": kind,
        "backend": spec.backend,
        "files": dict(spec.files),
        "options": dict(spec.options),
        "threads": spec.threads,
        "affinity": None if spec.affinity is None else list(spec.affinity),
        "accelerator": spec.accelerator,
        "limits": {"timeout_ms": int(limit_s * 1000), "memory_bytes": None},
        "plan": dict(plan),
    }
    if spec.site is not None:
        params["site"] = spec.site
    if spec.governor is not None:
        params["governor"] = spec.governor
    job = session.call("job.start", params, tensors, runtime=spec.backend).result["job"]
    reply = session.call(
        "job.wait",
        {"job": job},
        timeout_s=limit_s + _ANSWER_SLACK_S,
        on_progress=on_progress,
        runtime=spec.backend,
    )
    session.call("job.ack", {"job": job})
    return reply


def wire_tensor(name: str, array: NDArray[Any], set_index: int) -> wire.Tensor:
    """An array as a tensor of the wire: little-endian, C order."""
    import numpy as np

    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return wire.Tensor(name, array.dtype.name, array.shape, little.tobytes(), set_index)


def array_of(tensor: wire.Tensor) -> NDArray[Any]:
    """A tensor of the wire as an array that shares its memory."""
    import numpy as np

    dtype: np.dtype[Any] = np.dtype(tensor.dtype).newbyteorder("<")
    return np.frombuffer(tensor.data, dtype=dtype).reshape(tensor.shape)
