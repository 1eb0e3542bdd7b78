"""Energy per inference from synthetic power whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from edgeflow.bench.energy import Energy, EnergyRun, PowerSource, energy_of, energy_plan_for

S = 10**9
POLL_NS = S // 20
IDLE_MW, EXTRA_MW = 900.0, 600.0


def windows(length_s: float) -> dict[str, tuple[int, int]]:
    length = int(length_s * S)
    starts = {"idle_before": S, "loop": 3 * S + length, "idle_after": 5 * S + 2 * length}
    return {name: (start, start + length) for name, start in starts.items()}


def gauge(
    seed: int = 1,
    *,
    length_s: float = 12.0,
    period_s: float = 0.25,
    noise_mw: float = 40.0,
    correlation: float = 0.0,
    drift_mw_per_s: float = 0.0,
    step_mw: float = 0.1,
    extra_mw: float = EXTRA_MW,
) -> EnergyRun:
    """A gauge that updates every `period_s` with noise (AR(1) from update to update), drift and rounding.

    It is polled every 50 ms; there are 1000 inferences in the loop.
    """
    chance = random.Random(seed)
    spans = windows(length_s)
    end = spans["idle_after"][1]
    period = int(period_s * S)
    t_ns, values, noise, updates = [], [], 0.0, 0
    reading, next_update = 0, 0
    for now in range(0, end + 1, POLL_NS):
        if now >= next_update:
            next_update += period
            shock = (1 - correlation**2) ** 0.5 * chance.gauss(0, noise_mw)
            noise = correlation * noise + shock
            busy = spans["loop"][0] - S // 2 <= now <= spans["loop"][1]
            power = IDLE_MW + drift_mw_per_s * now / S + noise + (extra_mw if busy else 0)
            updated = round(power / step_mw) * round(step_mw * 1000)
            updates += updated != reading
            reading = updated
        t_ns.append(now)
        values.append(reading)
    step = round(step_mw * 1000)
    source = PowerSource(
        "power_supply:battery", "the whole device", "power_uw", None, period, updates, None, step, (),
        tuple(t_ns), tuple(values),
    )  # fmt: skip
    return EnergyRun((source,), spans, 1000)


def measured(run: EnergyRun) -> tuple[float, float]:
    energy = energy_of(run)
    assert energy.mj_per_inference is not None and energy.uncertainty_mj is not None, energy.reason
    return energy.mj_per_inference, energy.uncertainty_mj


def reason(run: EnergyRun) -> str:
    energy = energy_of(run)
    assert (energy.available, energy.mj_per_inference, energy.uncertainty_mj) == (False, None, None)
    assert energy.reason
    return energy.reason


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"period_s": 0.05},
        {"period_s": 1.0},
        {"correlation": 0.6},
        {"correlation": 0.9},
        {"drift_mw_per_s": 2.0},
        {"step_mw": 25.0, "noise_mw": 30.0},
        {"period_s": 1.0, "correlation": 0.3, "step_mw": 10.0, "drift_mw_per_s": -1.5},
    ],
    ids=str,
)
def test_the_interval_covers_the_truth_nine_times_out_of_ten(kind: dict[str, float]) -> None:
    truth = EXTRA_MW * 12.0 / 1000
    figures = [measured(gauge(seed, **kind)) for seed in range(200)]  # type: ignore[arg-type]
    covered = sum(abs(mj - truth) <= uncertainty for mj, uncertainty in figures)
    assert covered >= 180
    # An interval that covers everything says nothing: it is also narrow.
    assert sorted(uncertainty for _, uncertainty in figures)[100] < 0.25 * truth


def test_without_noise_the_figure_is_the_formula() -> None:
    run = gauge(noise_mw=0.15, step_mw=0.001)
    energy = energy_of(run)
    assert energy.mj_per_inference == pytest.approx(600 * 12 / 1000, rel=1e-3)
    assert energy.idle_mw == pytest.approx(900, rel=1e-3) and energy.loop_mw == pytest.approx(1500, rel=1e-3)
    assert (energy.window_s, energy.rate_hz, energy.inferences) == (12.0, 4.0, 1000)
    assert energy.samples == 241 and energy.source == "power_supply:battery"


def counter(seed: int = 1) -> EnergyRun:
    """The same device, seen by a counter of energy."""
    run = gauge(seed, period_s=0.05)
    source = run.sources[0]
    total, values = 0, [0]
    for (before, after), power in zip(pairwise(source.t_ns), source.values, strict=False):
        total += power * (after - before) // S
        values.append(total)
    counted = replace(
        source, name="powercap:package-0", quantity="energy_uj", values=tuple(values), step=61, updates=900
    )
    return replace(run, sources=(counted,))


def test_a_counter_of_energy_gives_the_same_figure_as_a_meter_of_power() -> None:
    mj, uncertainty = measured(counter())
    assert mj == pytest.approx(7.2, rel=0.03) and abs(mj - 7.2) <= uncertainty < 0.3


def test_a_source_too_slow_for_the_window_is_no_source() -> None:
    assert "updates every 1 s, too rarely for the 3 s of idle before" in reason(
        gauge(length_s=3.0, period_s=1.0)
    )


def test_a_reading_that_never_changes_says_nothing_of_its_rate() -> None:
    run = gauge(noise_mw=0)
    stuck = replace(run.sources[0], period_ns=None, updates=2)
    assert "changed only 2 times" in reason(replace(run, sources=(stuck,)))


def test_a_draw_within_the_noise_is_not_a_figure() -> None:
    text = reason(gauge(seed=3, extra_mw=2.0, noise_mw=80.0))
    assert "cannot be told from" in text and "mW idle" in text


def test_a_loop_that_seems_to_draw_less_than_idle_is_not_a_figure() -> None:
    assert "cannot be told from" in reason(gauge(extra_mw=-200.0))


def test_idle_that_moves_by_as_much_as_the_loop_draws_is_not_a_figure() -> None:
    assert "cannot be told from" in reason(gauge(extra_mw=100.0, drift_mw_per_s=10.0))


def test_drift_widens_the_interval() -> None:
    assert measured(gauge(drift_mw_per_s=5.0))[1] > 2 * measured(gauge())[1]


def test_a_coarse_gauge_widens_the_interval() -> None:
    assert measured(gauge(step_mw=80.0))[1] > 2 * measured(gauge())[1]


def test_a_source_that_stops_in_the_run_is_named_with_what_it_said() -> None:
    run = gauge()
    assert run.windows is not None
    source = run.sources[0]
    kept = source.t_ns.index(run.windows["loop"][0] + 3 * S)
    cut = replace(
        source, t_ns=source.t_ns[:kept], values=source.values[:kept], last_error="current_now: No such device"
    )
    text = reason(replace(run, sources=(cut,)))
    assert "gave nothing for 9.1 s of loop (current_now: No such device)" in text


def test_a_refused_source_gives_way_to_the_next_and_says_so() -> None:
    run = counter()
    charging = replace(
        run.sources[0],
        name="power_supply:battery",
        refused="power_supply:battery is Charging",
        t_ns=(),
        values=(),
    )
    energy = energy_of(replace(run, sources=(charging, run.sources[0])))
    assert energy.available and energy.source == "powercap:package-0"
    assert energy.rejected == {"power_supply:battery": "power_supply:battery is Charging"}


def test_a_run_that_did_not_happen_says_why() -> None:
    run = counter()
    charging = replace(run.sources[0], refused="power_supply:battery is Charging", t_ns=(), values=())
    assert reason(EnergyRun((charging,))) == "power_supply:battery is Charging"
    assert reason(EnergyRun(())) == "no sensor of the device tells its power"
    silent = replace(charging, refused=None, last_error="power1_input: No data available")
    assert "No data available" in reason(EnergyRun((silent,)))


def test_the_document_has_the_promised_keys_and_no_figure_without_a_source() -> None:
    document = Energy(reason="no sensor").to_json()
    assert document["available"] is False and document["reason"] == "no sensor"
    for key in ("mj_per_inference", "uncertainty_mj", "source", "idle_mw", "loop_mw", "window_s", "rate_hz"):
        assert document[key] is None
    assert energy_of(gauge()).to_json()["reason"] is None


def test_a_budget_bounds_every_window() -> None:
    plan = energy_plan_for("thorough", budget_s=4.0)
    assert plan.window_min_ns == plan.window_max_ns == 4 * S
    assert energy_plan_for("quick", budget_s=300).window_max_ns == energy_plan_for("quick").window_max_ns
