"""Transports: one module for each way to reach a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeflow.errors import DeviceError

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec
    from edgeflow.devices.transports.base import Transport

__all__ = ["open_transport"]


def open_transport(spec: DeviceSpec) -> Transport:
    """The transport that a device's entry names. Raises DeviceError when it is not in this version."""
    if spec.transport == "local":
        from edgeflow.devices.transports.local import LocalTransport

        return LocalTransport(spec.name)
    if spec.transport == "ssh":
        from edgeflow.devices.transports.ssh import SshTransport

        return SshTransport(spec)
    if spec.transport == "adb":
        from edgeflow.devices.transports.adb import AdbTransport

        return AdbTransport(spec.name, serial=spec.serial, address=spec.address)
    raise DeviceError(
        f"{spec.name}: the {spec.transport} transport is not in this version yet (docs/status.md)",
        hint="use a device with `transport: local`, such as `--device local`",
    )
