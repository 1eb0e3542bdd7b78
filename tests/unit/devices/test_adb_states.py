"""Which device is meant, and the cure for each state that it may be in."""

from __future__ import annotations

import pytest

from edgeflow.devices.transports.adb_states import choose, connect_failure
from edgeflow.devices.transports.adb_wire import ListedDevice
from edgeflow.errors import DeviceError

PIXEL = ListedDevice("28161FDH2000AB", "device", "", {"model": "Pixel_7"})
LOCKED = ListedDevice("R58M123ABC", "unauthorized")


def refusal(*devices: ListedDevice, serial: str | None = None) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        choose("phone", devices, serial=serial)
    return caught.value


def test_the_only_one_and_one_by_its_serial() -> None:
    assert choose("phone", [PIXEL], serial=None) is PIXEL
    assert choose("phone", [LOCKED, PIXEL], serial=PIXEL.serial) is PIXEL


def test_none_at_all() -> None:
    error = refusal()
    assert error.message == "phone: adb sees no device"
    assert "USB debugging" in error.hint


def test_several_are_never_chosen_from_even_when_one_is_ready() -> None:
    error = refusal(PIXEL, LOCKED)
    assert "28161FDH2000AB (Pixel 7, device), R58M123ABC (unauthorized)" in error.message
    assert "serial:" in error.hint


def test_a_wrong_serial_lists_those_there_and_the_nearest() -> None:
    error = refusal(PIXEL, LOCKED, serial="28161FDH2000AX")
    assert "no device with serial 28161FDH2000AX; adb sees: 28161FDH2000AB" in error.message
    assert "did you mean '28161FDH2000AB'?" in error.hint


@pytest.mark.parametrize(
    ("state", "cure"),
    [
        ("unauthorized", "Allow USB debugging"),
        ("authorizing", "Allow USB debugging"),
        ("offline", "adb reconnect offline"),
        ("no permissions", "plugdev"),
        ("recovery", "adb reboot"),
        ("bootloader", "fastboot reboot"),
        ("host", "adb devices -l"),
    ],
)
def test_each_state_is_named_and_has_its_cure(state: str, cure: str) -> None:
    error = refusal(ListedDevice("ABC", state))
    assert error.message.startswith(f"phone: ABC is {state}: ")
    assert cure in error.hint
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("failed to connect to '10.0.0.7:5555': Connection refused", "connection refused"),
        ("failed to connect to '10.0.0.7:5555': No route to host", "no route to it"),
        ("failed to connect to '10.0.0.7:5555': Network is unreachable", "no route to it"),
        ("failed to connect to '10.0.0.7:5555': Operation timed out", "no answer"),
        ("failed to resolve host: '10.0.0.7': Name or service not known", "does not resolve"),
        ("failed to connect to 10.0.0.7:5555", "not as adb does"),
        ("failed to connect to '10.0.0.7:5555': Too many open files", "Too many open files"),
    ],
)
def test_why_a_network_device_cannot_be_connected_to(answer: str, what: str) -> None:
    error = connect_failure("phone", "10.0.0.7:5555", answer)
    assert error.message.startswith("phone: cannot connect to 10.0.0.7:5555: ")
    assert what in error.message
    assert error.hint
