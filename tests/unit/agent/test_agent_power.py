"""Power sources on prepared /sys trees as phones, laptops and boards have them, wrong in every known way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeflow_agent.gauge import Refused, Series
from edgeflow_agent.power import Source, probe
from edgeflow_agent.recorder import Recorder, Track

S = 10**9


def write(root: Path, folder: str, **files: object) -> Path:
    target = root / "sys/class" / folder
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_text(f"{text}\n")
    return target


def battery(root: Path, name: str = "battery", **files: object) -> Path:
    known: dict[str, Any] = {"type": "Battery", "status": "Discharging", "voltage_now": 3_850_000}
    return write(root, f"power_supply/{name}", **{**known, **files})


def only(root: Path) -> Source:
    (source,) = probe(str(root))
    return source


def series(source: Source, folder: Path, column: str, readings: list[int]) -> Series:
    """What the source makes of these readings, one a second."""
    rows = []
    for reading in readings:
        (folder / column).write_text(f"{reading}\n")
        rows.append(source.read())
    return source.series([index * S for index in range(len(rows))], rows)


@pytest.mark.parametrize(
    ("readings", "volts", "milliwatts", "assumed"),
    [
        # Pixel: µA, negative while discharging.
        ([-250_000, -500_000], 4_000_000, [1000, 2000], "a negative current_now is discharge"),
        # The kernel's documented unit, positive.
        ([250_000, 500_000], 4_000_000, [1000, 2000], "current_now is in µA"),
        # Samsung: mA.
        ([-250, -500], 4_000_000, [1000, 2000], "current_now is in mA"),
        ([310, 620], 4_000, [1240, 2480], "voltage_now is in mV"),
        # A laptop's three cells.
        ([900_000, 2_000_000], 11_400_000, [10_260, 22_800], "current_now is in µA"),
    ],
)
def test_currents_of_every_convention_are_the_same_power(
    tmp_path: Path, readings: list[int], volts: int, milliwatts: list[int], assumed: str
) -> None:
    folder = battery(tmp_path, current_now=0, voltage_now=volts)
    found = series(only(tmp_path), folder, "current_now", readings)
    assert [value / 1000 for value in found.values] == milliwatts
    assert assumed in found.assumed
    assert found.step / 1000 == abs(milliwatts[1] - milliwatts[0])


def test_power_now_is_read_where_there_is_no_current(tmp_path: Path) -> None:
    folder = battery(tmp_path, name="BAT0", power_now=0)
    found = series(only(tmp_path), folder, "power_now", [7_500_000, 9_000_000])
    assert found.values == [7_500_000, 9_000_000] and "power_now is in µW" in found.assumed


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        ([0, 0, 0], "reads 0"),
        ([-400_000, 300_000, -350_000, 280_000, -500_000], "changes its sign"),
        ([3, 4, 5], "plausible in no unit"),
        ([2_000_000_000, 2_100_000_000], "plausible in no unit"),
    ],
)
def test_a_gauge_that_makes_no_sense_is_refused(tmp_path: Path, readings: list[int], why: str) -> None:
    folder = battery(tmp_path, current_now=0)
    with pytest.raises(Refused, match=why):
        series(only(tmp_path), folder, "current_now", readings)


def test_a_voltage_of_no_known_unit_is_refused(tmp_path: Path) -> None:
    folder = battery(tmp_path, current_now=-100_000, voltage_now=38)
    with pytest.raises(Refused, match="neither in µV nor in mV"):
        series(only(tmp_path), folder, "current_now", [-100_000])


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_only_a_discharging_battery_tells_the_devices_draw(tmp_path: Path, status: str) -> None:
    battery(tmp_path, current_now=-200_000, status=status)
    with pytest.raises(Refused, match=f"power_supply:battery is {status}"):
        only(tmp_path).read()


def test_a_charger_that_feeds_the_device_beside_its_battery_is_named(tmp_path: Path) -> None:
    battery(tmp_path, current_now=-200_000)
    usb = write(tmp_path, "power_supply/usb", type="USB", online=1, current_now=500_000)
    with pytest.raises(Refused, match="usb feeds the device"):
        only(tmp_path).read()
    (usb / "online").write_text("0\n")
    assert only(tmp_path).read() == (-200_000, 3_850_000)


def test_the_battery_of_a_mouse_is_not_the_devices(tmp_path: Path) -> None:
    battery(tmp_path, name="hidpp_battery_0", scope="Device", current_now=10_000)
    assert probe(str(tmp_path)) == []


def test_powercap_counts_through_its_wrap(tmp_path: Path) -> None:
    write(tmp_path, "powercap/intel-rapl", enabled=1)
    folder = write(
        tmp_path, "powercap/intel-rapl:0", name="package-0", energy_uj=0, max_energy_range_uj=262_143_328_850
    )
    source = only(tmp_path)
    assert (source.name, source.quantity) == ("powercap:package-0", "energy_uj")
    edge = 262_143_328_850
    found = series(source, folder, "energy_uj", [edge - 10_000_000, edge - 4_000_000, 3_000_000, 9_000_000])
    assert found.values == [0, 6_000_000, 13_000_000, 19_000_000]


def test_a_counter_that_was_reset_is_no_wrap(tmp_path: Path) -> None:
    folder = write(
        tmp_path, "powercap/intel-rapl:0", name="package-0", energy_uj=0, max_energy_range_uj=262_143_328_850
    )
    with pytest.raises(Refused, match="was reset"):
        series(only(tmp_path), folder, "energy_uj", [90_000_000_000, 90_010_000_000, 5_000_000])


def test_sources_come_in_order_of_what_they_cover(tmp_path: Path) -> None:
    battery(tmp_path, current_now=-200_000)
    write(tmp_path, "powercap/intel-rapl:0", name="package-0", energy_uj=1)
    write(tmp_path, "powercap/intel-rapl:0:0", name="core", energy_uj=1)
    write(tmp_path, "powercap/intel-rapl:1", name="psys", energy_uj=1)
    write(tmp_path, "powercap/intel-rapl-mmio:0", name="package-0", energy_uj=1)
    write(tmp_path, "hwmon/hwmon0", name="battery", power1_input=1, curr1_input=2)  # mirror of the battery
    write(
        tmp_path, "hwmon/hwmon1", name="ina3221", in1_label="VDD_IN", curr1_input=400, in1_input=5000,
        in2_label="VDD_CPU", curr2_input=100, in2_input=5000, in4_input=3,
    )  # fmt: skip
    write(tmp_path, "hwmon/hwmon2", name="amdgpu", power1_average=5_000_000)
    assert [source.name for source in probe(str(tmp_path))] == [
        "power_supply:battery", "powercap:psys", "hwmon:ina3221.VDD_IN", "powercap:package-0",
        "hwmon:ina3221.VDD_CPU", "hwmon:amdgpu.power1", "powercap:package-0.core",
    ]  # fmt: skip


def test_an_inas_current_and_voltage_are_its_power(tmp_path: Path) -> None:
    folder = write(
        tmp_path, "hwmon/hwmon1", name="ina3221", in1_label="VDD_IN", curr1_input=0, in1_input=5000
    )
    found = series(only(tmp_path), folder, "curr1_input", [400, 408, 480])
    assert found.values == [2_000_000, 2_040_000, 2_400_000] and found.step == 40_000


def test_permission_denied_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mode keeps root from reading, so the system's answer is put in its place."""
    write(tmp_path, "powercap/intel-rapl:0", name="package-0", energy_uj=1)

    def denied(path: str, *args: object, **words: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    source = only(tmp_path)
    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(Refused, match=r"energy_uj needs root \(permission denied\)"):
        source.read()


def test_the_native_rate_is_measured_and_not_the_polling_rate(tmp_path: Path) -> None:
    folder = battery(tmp_path, current_now=-200_000)
    clock = [0]
    track = Track(only(tmp_path))
    for tick in range(400):  # 20 s, polled every 50 ms; the gauge updates once a second
        clock[0] = tick * S // 20
        (folder / "current_now").write_text(f"{-200_000 - 1000 * (tick // 20)}\n")
        track.poll(lambda: clock[0])
    assert track.period_ns() == S and track.updates_since(0) == 19 and len(track.rows) == 400


def test_equal_readings_in_a_row_do_not_slow_the_measured_rate_down(tmp_path: Path) -> None:
    folder = battery(tmp_path, current_now=-200_000)
    clock = [0]
    track = Track(only(tmp_path))
    for tick, step in enumerate([0, 1, 2, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 8, 8, 9, 10]):
        clock[0] = tick * S
        (folder / "current_now").write_text(f"{-200_000 - 1000 * step}\n")
        track.poll(lambda: clock[0])
    assert track.period_ns() == S


def test_a_source_that_disappears_is_missed_and_one_that_charges_is_given_up(tmp_path: Path) -> None:
    gone = battery(tmp_path, name="a", current_now=-200_000)
    plugged = battery(tmp_path, name="b", current_now=-200_000)
    first, second = (Track(source) for source in probe(str(tmp_path)))
    for track in (first, second):
        track.poll(lambda: S)
    (gone / "voltage_now").unlink()
    (plugged / "status").write_text("Charging\n")
    for track in (first, second):
        track.poll(lambda: 2 * S)
    assert (first.missed, first.refused, len(first.rows)) == (1, None, 1)
    assert "voltage_now: No such file" in str(first.last_error)
    assert second.refused is not None and "is Charging" in second.refused


def test_without_any_sensor_nothing_is_preferred(tmp_path: Path) -> None:
    recorder = Recorder(probe(str(tmp_path)), 10)
    recorder.start()
    recorder.stop()
    assert recorder.preferred() is None and recorder.tracks == []
