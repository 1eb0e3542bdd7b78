"""The files of an artifact that are for one device, where a runtime has others for other processors."""

from __future__ import annotations

from dataclasses import replace

from edgeflow.errors import DeviceError
from edgeflow.types import DeviceFacts
from edgeflow_agent.backends import paddlelite_model
from edgeflow_agent.faults import Fault
from edgeflow_converters.base import Artifact

_X86 = ("x86_64", "amd64", "i686", "i386")
_MODEL, _ARM = "model", "model_arm"  # roles of Paddle Lite's files


def for_device(artifact: Artifact, device: str, facts: DeviceFacts) -> Artifact:
    """The artifact with what `device` loads, and nothing else: Paddle Lite's file for its processor.

    Paddle Lite runs a model for another processor and answers rubbish, so the target is read out of the file
    that would be pushed. Raises DeviceError where there is none for this device.
    """
    if artifact.runtime != "paddlelite":
        return artifact
    ours = facts.arch.lower() in _X86
    role, place = (_MODEL, "x86") if ours else (_ARM, "ARM")
    if role not in artifact.files:
        why = next((note for note in artifact.notes if note.startswith("not for ARM")), "none was made")
        raise DeviceError(
            f"{device}: there is no Paddle Lite model for its processor ({facts.arch}): {why}",
            hint="use another runtime on this device",
        )
    path = artifact.path / artifact.files[role]
    try:
        model = paddlelite_model.read_model(str(path))
        paddlelite_model.require_target(model, paddlelite_model.X86 if ours else paddlelite_model.ARM)
    except Fault as fault:
        raise DeviceError(
            f"{device}: {path.name} is not for its processor ({facts.arch}, {place}): {fault.message}",
            hint="convert the model again: edgeflow convert ... --runtime paddlelite",
        ) from fault
    return replace(
        artifact,
        files={_MODEL: artifact.files[role]},
        sha256={_MODEL: artifact.sha256[role]},
        size_bytes=path.stat().st_size,
    )
