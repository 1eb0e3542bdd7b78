"""Conditions out of an agent's samples."""

from __future__ import annotations

import math

import pytest

from edgeflow.bench.conditions import Conditions, Temperature, conditions_of

S = 1_000_000_000


def test_what_the_system_does_not_give_stays_unknown() -> None:
    conditions = conditions_of({"t_ns": [0, S]}, zone_types={})
    assert conditions == Conditions()
    assert conditions.to_json() == {
        "temperature_c": {"start": None, "end": None, "max": None},
        "frequency_mhz": {},
        "load": None,
        "other_load": None,
        "throttled": None,
    }


def test_load_is_weighted_by_time_so_that_the_last_short_sample_says_little() -> None:
    sampling = {
        "t_ns": [1 * S, 2 * S, 2 * S + S // 100],
        "load": [0.5, 0.5, 1.0],
        "worker_load": [0.5, 0.5, 0.0],
    }
    conditions = conditions_of(sampling, zone_types={})
    assert conditions.load == pytest.approx(0.5, abs=0.01)
    assert conditions.other_load == pytest.approx(0.0, abs=0.01)


def test_other_load_is_what_neither_worker_nor_idling_used() -> None:
    sampling = {"t_ns": [S, 2 * S], "load": [0.9, 0.7], "worker_load": [0.5, 0.5]}
    assert conditions_of(sampling, zone_types={}).other_load == pytest.approx(0.3)


def test_a_worker_that_looks_busier_than_the_machine_is_clock_ticks_not_negative_load() -> None:
    sampling = {"t_ns": [S, 2 * S], "load": [0.50, 0.50], "worker_load": [0.51, 0.51]}
    assert conditions_of(sampling, zone_types={}).other_load == 0.0


def test_the_cpus_zones_count_by_their_type() -> None:
    sampling = {
        "t_ns": [S, 2 * S, 3 * S],
        "temperature_c": {
            "thermal_zone0": [40.0, 55.0, 50.0],
            "thermal_zone1": [45.0, 47.0, 49.0],
            "thermal_zone2": [90.0, 90.0, 90.0],
        },
    }
    types = {"thermal_zone0": "BIG", "thermal_zone1": "cpu-little", "thermal_zone2": "charger_skin"}
    assert conditions_of(sampling, zone_types=types).temperature_c == Temperature(45.0, 50.0, 55.0)


def test_a_chips_sensors_go_by_the_chips_name() -> None:
    sampling = {"t_ns": [S], "temperature_c": {"hwmon1.temp1": [61.0], "hwmon0.temp1": [35.0]}}
    types = {"hwmon1": "coretemp", "hwmon0": "nvme"}
    assert conditions_of(sampling, zone_types=types).temperature_c.max == 61.0


def test_unnamed_zones_count_but_for_the_battery() -> None:
    sampling = {"t_ns": [S], "temperature_c": {"thermal_zone0": [50.0], "thermal_zone9": [99.0]}}
    assert conditions_of(sampling, zone_types={"thermal_zone9": "battery"}).temperature_c.max == 50.0


def test_readings_that_failed_are_left_out() -> None:
    sampling = {
        "t_ns": [S, 2 * S, 3 * S],
        "load": [None, 0.4, math.nan],
        "temperature_c": {"thermal_zone0": [None, 50.0, None]},
        "frequency_mhz": {"cpu0": [None, None, None]},
    }
    conditions = conditions_of(sampling, zone_types={})
    assert conditions.load == pytest.approx(0.4)
    assert conditions.temperature_c == Temperature(50.0, 50.0, 50.0)
    assert conditions.frequency_mhz == {}


def test_a_fall_of_the_fastest_cpu_is_throttling() -> None:
    falling = {"cpu0": [600.0] * 9, "cpu7": [2800.0] * 6 + [1700.0] * 3}
    conditions = conditions_of({"t_ns": list(range(9)), "frequency_mhz": falling}, zone_types={})
    assert conditions.throttled is True
    assert conditions.top_mhz == (2800.0, 1700.0)
    assert conditions.frequency_mhz["cpu7"].min == 1700.0


def test_a_worker_that_moves_to_another_core_is_not_throttled() -> None:
    moving = {"cpu0": [2800.0] * 5 + [600.0] * 4, "cpu1": [600.0] * 5 + [2800.0] * 4}
    assert conditions_of({"t_ns": list(range(9)), "frequency_mhz": moving}, zone_types={}).throttled is False


def test_only_the_cores_that_the_worker_is_bound_to_are_judged() -> None:
    series = {"cpu0": [2800.0] * 5 + [1400.0] * 4, "cpu1": [2800.0] * 9}
    sampling = {"t_ns": list(range(9)), "frequency_mhz": series}
    assert conditions_of(sampling, zone_types={}, cpus=(0,)).throttled is True
    assert conditions_of(sampling, zone_types={}, cpus=(1,)).throttled is False


def test_too_few_readings_tell_nothing_of_throttling() -> None:
    sampling = {"t_ns": [0, 1], "frequency_mhz": {"cpu0": [2800.0, 1000.0]}}
    assert conditions_of(sampling, zone_types={}).throttled is None


def test_what_was_sampled_over_time_is_kept_with_its_instants() -> None:
    sampling = {
        "t_ns": [S, 2 * S, 3 * S],
        "temperature_c": {"thermal_zone0": [41.5, None, 43.0], "thermal_zone1": [40.0, None, 44.25]},
        "frequency_mhz": {"0": [1800.0, 1500.5, None], "4": [900.0, 2000.0, None], "7": [3000.0] * 3},
    }
    types = {"thermal_zone0": "cpu", "thermal_zone1": "cpu"}
    assert conditions_of(sampling, zone_types=types, cpus=[0, 4]).series == {
        "temperature_t_ns": (S, 3 * S),
        "temperature_mc": (41_500, 44_250),
        "frequency_t_ns": (S, 2 * S),
        "frequency_khz": (1_800_000, 2_000_000),
    }
    assert conditions_of({"t_ns": [S]}, zone_types={}).series == {}
