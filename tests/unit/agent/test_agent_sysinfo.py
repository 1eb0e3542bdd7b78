"""Readers of /proc and /sys on a captured tree, and the sampler over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow_agent import sysinfo
from edgeflow_agent.sampler import Sampler
from edgeflow_agent.wire import MAX_META_BYTES


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    write(tmp_path, "proc/stat", "cpu  100 10 50 800 40 0 0 0 5 0\ncpu0 1 2 3 4\n")
    # A process name may hold blanks and brackets: fields are counted from the last one.
    stat = "42 (my) tool (x)) S 1 42 42 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0 8123 4096 2\n"
    write(tmp_path, "proc/42/stat", stat)
    write(tmp_path, "proc/42/task/42/stat", stat)
    write(tmp_path, "proc/42/status", "Name:\tx\nVmHWM:\t   9000 kB\nVmRSS:\t   8000 kB\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "41500\n")
    write(tmp_path, "sys/class/thermal/thermal_zone10/temp", "-2000\n")
    write(tmp_path, "sys/class/thermal/thermal_zone2/temp", "no data\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "1803000\n")
    write(tmp_path, "sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq", "2850000\n")
    write(tmp_path, "sys/devices/system/cpu/cpuidle/current_driver", "psci\n")
    return tmp_path


def test_a_phones_tree_is_read_in_our_units(phone: Path) -> None:
    root = str(phone)
    assert sysinfo.cpu_times(root) == (160, 1000)
    assert sysinfo.process_ticks(42, root) == 42
    assert sysinfo.process_start_ticks(42, root) == 8123
    assert sysinfo.process_start_ticks(43, root) is None
    assert sysinfo.rss_bytes(42, root) == 8000 * 1024
    assert sysinfo.temperatures_c(root) == {"thermal_zone0": 41.5, "thermal_zone10": -2.0}
    assert sysinfo.frequencies_mhz(root) == {"cpu0": 1803.0, "cpu7": 2850.0}


def test_sensors_stand_in_where_there_are_no_zones(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_input", "52000\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_crit", "99000\n")
    assert sysinfo.temperatures_c(str(tmp_path)) == {"hwmon1.temp1": 52.0}


def test_what_a_system_does_not_give_is_absent(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert sysinfo.cpu_times(root) is None
    assert sysinfo.process_ticks(42, root) is None
    assert sysinfo.rss_bytes(42, root) is None
    assert sysinfo.temperatures_c(root) == {}
    assert sysinfo.frequencies_mhz(root) == {}
    sampler = Sampler(42, 1000, root=root)
    sampler.start()
    assert list(sampler.stop()) == ["t_ns"]


def test_the_sampler_gives_shares_of_the_machine_and_keeps_series_aligned(phone: Path) -> None:
    ticks = iter(range(1, 99))
    sampler = Sampler(42, 3_600_000, root=str(phone), clock_ns=lambda: next(ticks))
    sampler.start()
    write(phone, "proc/stat", "cpu  180 10 50 820 40 0 0 0 5 0\n")  # 80 of 100 ticks were busy
    write(
        phone, "proc/42/stat", "42 (x) S 1 42 42 0 -1 4194560 1 0 0 0 90 12 0 0 20 0 1 0\n"
    )  # 60 were the worker's
    sampler.sample()
    write(phone, "sys/class/thermal/thermal_zone0/temp", "")  # the zone refuses one reading
    write(phone, "sys/class/thermal/thermal_zone2/temp", "50000")
    found = sampler.stop()
    assert found["t_ns"] == [1, 2]
    assert found["load"] == [pytest.approx(0.8), None]
    assert found["worker_load"] == [pytest.approx(0.6), None]
    assert found["temperature_c"] == {
        "thermal_zone0": [41.5, None],
        "thermal_zone2": [None, 50.0],
        "thermal_zone10": [-2.0, -2.0],
    }
    assert found["frequency_mhz"] == {"cpu0": [1803.0, 1803.0], "cpu7": [2850.0, 2850.0]}


def test_a_run_of_any_length_fits_a_frame_and_is_covered_from_end_to_end(tmp_path: Path) -> None:
    write(tmp_path, "proc/stat", "cpu  0 0 0 0\n")
    for zone in range(40):
        write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/temp", "41123\n")
    ticks = iter(range(1_000_000))
    sampler = Sampler(42, 3_600_000, root=str(tmp_path), clock_ns=lambda: 10**15 + 10**9 * next(ticks))
    sampler.start()
    for sample in range(1200):
        write(tmp_path, "proc/stat", f"cpu  {3 * sample} 0 0 {7 * sample}\n")
        sampler.sample()
    found = sampler.stop()
    assert len(json.dumps(found)) < MAX_META_BYTES - (1 << 18)
    times = found["t_ns"]
    assert times[-1] == 10**15 + 1200 * 10**9 and times[0] < 10**15 + 10 * 10**9
    assert 500 < len(times) < 1200
    assert all(len(zone) == len(times) for zone in found["temperature_c"].values())
    # What is dropped takes its time with it: the shares are those since the sample that is still there.
    assert found["load"][1:-1] == pytest.approx([0.3] * (len(times) - 2))
