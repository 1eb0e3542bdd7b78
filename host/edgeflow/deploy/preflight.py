"""What can't work fails here, by name, before any slow work."""

from __future__ import annotations

from edgeflow.agentlink.runtimes import Provided
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import DeviceError, UsageError
from edgeflow.types import DeviceFacts
from edgeflow_converters.base import Artifact

_ACCELERATORS = ("cpu", "gpu", "npu")

SERVED = ("cpu",)
"""Accelerators that some runtime of this version can use."""

# A converted model, its copy in the work folder and the agent, with room to breathe; and for memory, a
# runtime's arenas beside the weights. Estimates that only refuse what is hopeless.
_DISK_FACTOR, _DISK_MARGIN_BYTES = 1.0, 16 << 20
_MEMORY_FACTOR, _MEMORY_MARGIN_BYTES = 1.5, 32 << 20


def check_request(request: DeployRequest) -> None:
    """Checks that need neither device nor model. Raises UsageError, DeviceError."""
    if request.accelerator not in _ACCELERATORS:
        raise UsageError(
            f"unknown accelerator '{request.accelerator}'", hint=f"use one of: {', '.join(_ACCELERATORS)}"
        )
    if request.accelerator not in SERVED:
        raise DeviceError(
            f"{request.device}: no runtime of this version serves accelerator {request.accelerator}",
            hint=f"use --accelerator {' or '.join(SERVED)}",
        )
    if request.threads is not None and request.threads < 1:
        raise UsageError(f"threads {request.threads}: expected 1 or more")


def check_device(
    request: DeployRequest, facts: DeviceFacts, *, source_bytes: int, allowed: tuple[str, ...]
) -> None:
    """Checks the whole tuple against the device. Raises DeviceError naming the device and what is short."""
    name = request.device
    if allowed and request.runtime not in allowed:
        raise DeviceError(
            f"{name}: devices.yaml allows {', '.join(allowed)} on it, not {request.runtime}",
            hint=f"add {request.runtime} to the device's 'runtimes'",
        )
    cores = facts.cores
    absent = [core for core in request.affinity or () if core >= cores]
    if absent:
        raise DeviceError(f"{name}: has no core {absent[0]}: its cores are 0 to {cores - 1}")
    disk_bytes = int(source_bytes * _DISK_FACTOR) + _DISK_MARGIN_BYTES
    if facts.disk_free_bytes is not None and facts.disk_free_bytes < disk_bytes:
        raise DeviceError(
            f"{name}: {facts.disk_free_bytes} bytes free in its work folder, about {disk_bytes} needed",
            hint="free space on the device, or set work_dir in devices.yaml to a larger disk",
        )
    memory_bytes = int(source_bytes * _MEMORY_FACTOR) + _MEMORY_MARGIN_BYTES
    if facts.memory_available_bytes is not None and facts.memory_available_bytes < memory_bytes:
        raise DeviceError(
            f"{name}: {facts.memory_available_bytes} bytes of memory available, about {memory_bytes} needed",
            hint="stop other programs on the device, or use a smaller model",
        )


def check_layers(request: DeployRequest, artifact: Artifact, layers: str | None, target: str) -> None:
    """That a worker with these layers, built for `target`, can load the artifact. Raises DeviceError."""
    if layers in (None, "all"):
        return
    from edgeflow.toolchain.products import left_out  # a deploy to this machine does without
    from edgeflow_converters.targets.ncnn_param import parse_param

    kinds = sorted({layer.kind for layer in parse_param(artifact.path / artifact.files["param"])})
    lacking = [kind for kind in kinds if kind.lower() in left_out()]
    if "int8" in artifact.weights_dtype:
        lacking.append("int8 weights")
    if lacking:
        raise DeviceError(
            f"{request.device}: its {artifact.runtime} was built with the {layers} layers only, without "
            f"{', '.join(lacking)}, which this model needs",
            hint=f"edgeflow agent build --target {target} --runtime {artifact.runtime} builds all",
        )


def check_needs(request: DeployRequest, artifact: Artifact, facts: DeviceFacts, runtime: Provided) -> str:
    """That the device has what reads the artifact: the runtime's version, the ABI and the libc where only
    some will do. Raises DeviceError with the cure; what could not be checked is returned, for a note.
    """
    needs, name = artifact.needs, request.device
    if needs is None:
        return ""
    for what, wanted, has in (("ABI", needs.abis, facts.abis), ("libc", needs.libcs, (facts.libc,))):
        if wanted and not set(wanted) & set(has):
            raise DeviceError(
                f"{name}: the artifact ({needs.format}) is for {what} {' or '.join(wanted)}, "
                f"the device has {', '.join(filter(None, has)) or 'none that it tells'}",
                hint="use a device of that kind, or another runtime",
            )
    version = runtime.version
    if version is None or not version[:1].isdigit():
        return (
            f"{name}: does not tell the version of its {artifact.runtime}, so nobody knows whether it reads "
            f"the artifact, which needs {needs.told}"
        )
    if needs.reads(version):
        return ""
    own = (
        f"install {artifact.runtime} {needs.told} there, or remove that one: edgeflow then brings its own"
        if runtime.site is None
        else "use another runtime, or update what the device has: its Python, or the agent's build"
    )
    raise DeviceError(
        f"{name}: its {artifact.runtime} is {version}, and the artifact ({needs.format}) needs {needs.told} "
        f"({needs.why})",
        hint=own,
    )
