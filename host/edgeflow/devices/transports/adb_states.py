"""Which of adb's devices is meant, and for each state that it may be in the cure. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edgeflow.config.suggest import nearest
from edgeflow.devices.transports.adb_wire import ListedDevice
from edgeflow.errors import DeviceError

READY = "device"

_CURES = {
    "unauthorized": (
        "the phone has not allowed this computer",
        "unlock it and accept 'Allow USB debugging?'; if it does not ask, turn USB debugging off and on",
    ),
    "authorizing": (
        "the phone is still asking whether to allow this computer",
        "unlock it and accept 'Allow USB debugging?'",
    ),
    "offline": (
        "adb lists it as offline",
        "plug it in again; on a network see that it is on; then: adb reconnect offline",
    ),
    "connecting": ("adb is still connecting to it", "wait a moment and run the command again"),
    "no permissions": (
        "this user may not open its USB port",
        "Debian, Ubuntu: apt install android-sdk-platform-tools-common, and join the group plugdev",
    ),
    "bootloader": ("it is in its bootloader", "boot it: fastboot reboot"),
    "recovery": ("it is in recovery mode", "boot it: adb reboot"),
    "rescue": ("it is in rescue mode", "boot it: adb reboot"),
    "sideload": ("it waits for a sideload", "boot it: adb reboot"),
}


class NoPhone(DeviceError):
    """adb lists no device at all."""


def choose(name: str, devices: Sequence[ListedDevice], *, serial: str | None) -> ListedDevice:
    """The device that `serial` names, or the only one. Raises DeviceError that tells state and cure."""
    if serial is None:
        chosen = _only(name, devices)
    else:
        same = [device for device in devices if device.serial == serial]
        if not same:
            raise _not_listed(name, devices, serial)
        chosen = same[0]
    if chosen.state != READY:
        raise not_ready(name, chosen)
    return chosen


def not_ready(name: str, device: ListedDevice) -> DeviceError:
    """The error for a device that adb lists but cannot be used."""
    what, cure = _CURES.get(device.state, (f"adb says '{device.state}'", "see 'adb devices -l'"))
    return DeviceError(f"{name}: {device.serial} is {device.state}: {what}", hint=cure, detail=device.note)


def connect_failure(name: str, address: str, answer: str) -> DeviceError:
    """The error for what `adb connect` answered when it did not connect."""
    reason = answer.partition(address)[2].strip("': ") or "something listens there, but not as adb does"
    for words, what, cure in (
        (
            "refused",
            "connection refused: nothing listens there",
            "turn on wireless debugging, or with a cable: adb tcpip 5555; its port may have changed",
        ),
        (
            ("no route", "unreachable"),
            "no route to it",
            "see that it is on and in the same network as this computer",
        ),
        (
            ("timed out", "timeout"),
            "no answer",
            "see that it is on, awake and in the same network; a firewall may drop the port",
        ),
        (
            ("resolve", "name or service", "not known"),
            "the host name does not resolve",
            "use its IP address in devices.yaml",
        ),
    ):
        if any(word in answer.lower() for word in ((words,) if isinstance(words, str) else words)):
            return DeviceError(f"{name}: cannot connect to {address}: {what}", hint=cure, detail=answer)
    return DeviceError(
        f"{name}: cannot connect to {address}: {reason}",
        hint="see that it and its wireless debugging are on; newer phones must be paired first: adb pair",
        detail=answer,
    )


def _only(name: str, devices: Sequence[ListedDevice]) -> ListedDevice:
    if not devices:
        raise NoPhone(
            f"{name}: adb sees no device",
            hint="plug a phone in with USB debugging on and a cable that carries data, "
            "or set `address: host:port` in devices.yaml",
        )
    if len(devices) == 1:
        return devices[0]
    # Also when only one of them is ready: it need not be the one that the user means.
    raise DeviceError(
        f"{name}: adb sees several devices: {_listing(devices)}",
        hint=f"set `serial:` of {name} in devices.yaml to one of them",
    )


def _not_listed(name: str, devices: Sequence[ListedDevice], serial: str) -> DeviceError:
    if not devices:
        return DeviceError(
            f"{name}: no device with serial {serial}: adb sees no device at all",
            hint="plug it in with USB debugging on and a cable that carries data",
        )
    match = nearest(serial, [device.serial for device in devices])
    guess = f"did you mean '{match}'? " if match else ""
    return DeviceError(
        f"{name}: no device with serial {serial}; adb sees: {_listing(devices)}",
        hint=f"{guess}plug it in, or correct `serial:` of {name} in devices.yaml",
    )


def _listing(devices: Sequence[ListedDevice]) -> str:
    return ", ".join(
        f"{device.serial} ({', '.join(filter(None, [device.model, device.state]))})" for device in devices
    )
