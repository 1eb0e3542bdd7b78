"""The energy job with real workers, over a /sys tree in which a thread plays a battery of a known draw."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.agentlink.jobs import JobSpec, energy_run_of
from edgeflow.agentlink.session import AgentSession, Reply
from edgeflow.bench.energy import Energy, EnergyRun, energy_of
from edgeflow.deploy.energy import EnergyEvidence, measure_energy
from edgeflow.devices.transports.local import LocalTransport
from edgeflow.types import DeviceFacts
from edgeflow_agent.wire import FrameType, Tensor
from edgeflow_converters.base import Artifact
from edgeflow_converters.check import Verdict
from edgeflow_converters.tensors import TensorSpec

S = 10**9
MICROVOLTS = 4_000_000
IDLE_MW, LOOP_MW = 800.0, 1600.0
DELAY_NS = 4_000_000
PLAN: dict[str, Any] = {
    "window_min_ns": S, "window_max_ns": 2 * S, "settle_ns": S // 5, "min_updates": 12,
    "sample_period_ms": 10,
}  # fmt: skip
SHORT = {**PLAN, "window_min_ns": S // 3, "window_max_ns": S // 2}
"""For runs that are to give no figure."""

X = Tensor("x", "float32", (4,), struct.pack("<4f", *range(4)), 0)


class Device:
    """An agent's core whose power sources lie in `root`, and the energy job that runs there now."""

    def __init__(self, client: Any, root: Path) -> None:
        self.root = root
        self._client = client
        self._job = ""

    @property
    def phase(self) -> str:
        """The job's newest phase, as far as its reports were read."""
        reports = self._client.progress
        return str(reports[-1]["phase"]) if reports else ""

    def start(self, plan: dict[str, Any], **params: Any) -> None:
        """Starts the job and waits for it without reading yet."""
        full = {"options": {"delay_ns": DELAY_NS}, "plan": plan, **params}
        self._job = self._client.start("energy", [X], **full)
        self._client.send("job.wait", job=self._job)

    def result(self, plan: dict[str, Any], **params: Any) -> Any:
        """Runs one job to its result. Raises AgentSaid."""
        self.start(plan, **params)
        return self._client.receive()

    def run(self, plan: dict[str, Any], **params: Any) -> EnergyRun:
        result = self.result(plan, **params)
        return energy_run_of(Reply(result, tuple(self._client.tensors())))

    def cancel_in(self, phase: str) -> dict[str, Any]:
        """Cancels the job once it is in that phase; gives the outcome that was waited for, an error."""
        self._client.until_phase(phase)
        self._client.send("job.cancel", job=self._job)
        answers: dict[FrameType, Any] = {}
        while len(answers) < 2:
            frame = self._client.stream.read_frame()
            if frame.type is not FrameType.PROGRESS:
                answers[frame.type] = frame.meta
        error: dict[str, Any] = answers[FrameType.ERROR]["error"]
        return error

    def serves(self) -> None:
        """The device is free: it runs another job."""
        assert [job["state"] for job in self._client.call("job.list")["jobs"]].count("running") == 0
        self._client.job("infer", [X])


class Battery:
    """Plays a fuel gauge: every `period_s` it says the draw of the job's phase, with some noise."""

    def __init__(
        self,
        root: Path,
        phase: Callable[[], str],
        period_s: float = 0.03,
        *,
        scale: float = -1.0,
        noise_mw: float = 15.0,
    ) -> None:
        self.folder = root / "sys/class/power_supply/battery"
        self.folder.mkdir(parents=True)
        self.on_update: Callable[[str], None] = lambda phase: None
        self._phase = phase
        self._period_s = period_s
        self._scale = scale
        self._noise_mw = noise_mw
        self._chance = random.Random(7)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self.write("type", "Battery")
        self.write("status", "Discharging")
        self.write("voltage_now", str(MICROVOLTS))
        self._update()
        self._thread.start()

    def write(self, name: str, text: str) -> None:
        """Whole at once, as the kernel answers: a reader never sees half a number."""
        part = self.folder / f".{name}"
        part.write_text(f"{text}\n")
        part.replace(self.folder / name)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._ended.wait(self._period_s):
            self.on_update(self._phase())
            self._update()

    def _update(self) -> None:
        draw_mw = LOOP_MW if self._phase() in ("warmup", "run") else IDLE_MW
        microamperes = 1e9 * self._chance.gauss(draw_mw, self._noise_mw) / MICROVOLTS
        self.write("current_now", str(round(self._scale * microamperes)))


@pytest.fixture
def device(connect: Callable[..., Any], agent: Any, tmp_path: Path) -> Device:
    root = tmp_path / "root"
    root.mkdir()
    return Device(connect(argv=agent.argv("core", tmp_path / "work", "--root", str(root))), root)


@pytest.fixture
def battery(device: Device) -> Iterator[Callable[..., Battery]]:
    playing: list[Battery] = []

    def play(period_s: float = 0.03, **how: Any) -> Battery:
        playing.append(Battery(device.root, lambda: device.phase, period_s, **how))
        return playing[-1]

    yield play
    for one in playing:
        one.stop()


def assert_known_draw(run: EnergyRun, energy: Energy) -> None:
    assert energy.available, energy.reason
    assert (
        run.windows is not None and energy.mj_per_inference is not None and energy.uncertainty_mj is not None
    )
    begin, end = run.windows["loop"]
    truth = (LOOP_MW - IDLE_MW) * (end - begin) / S / run.inferences
    assert abs(energy.mj_per_inference - truth) <= 1.5 * energy.uncertainty_mj  # of a 95 % interval
    assert energy.uncertainty_mj < 0.2 * truth
    # Each inference takes its delay at least: their number is not another window's.
    assert truth >= (LOOP_MW - IDLE_MW) * DELAY_NS / S


@pytest.mark.parametrize(
    ("scale", "said"),
    [(-1.0, "a negative current_now is discharge"), (1e-3, "current_now is in mA")],
    ids=["Pixel", "mA, positive"],
)
def test_a_known_draw_gives_a_known_energy(
    device: Device, battery: Callable[..., Battery], scale: float, said: str
) -> None:
    battery(scale=scale)
    run = device.run(PLAN)
    energy = energy_of(run)
    assert_known_draw(run, energy)
    assert energy.source == "power_supply:battery" and said in energy.assumed
    assert energy.covers == "the whole device"


def test_windows_last_until_a_slow_gauge_has_told_enough(
    device: Device, battery: Callable[..., Battery]
) -> None:
    battery(period_s=0.12)
    run = device.run({**PLAN, "window_min_ns": S // 10, "window_max_ns": 20 * S, "min_updates": 10})
    assert_known_draw(run, energy_of(run))
    assert run.windows is not None
    assert all(end - begin >= S for begin, end in run.windows.values())


def test_a_gauge_too_slow_for_the_longest_window_is_said_to_be(
    device: Device, battery: Callable[..., Battery]
) -> None:
    battery(period_s=0.2)
    energy = energy_of(device.run(SHORT))
    assert not energy.available and energy.reason is not None
    assert "too rarely" in energy.reason or "changed only" in energy.reason


def test_a_reading_that_stands_still_is_not_looped_for(
    device: Device, battery: Callable[..., Battery]
) -> None:
    battery(noise_mw=0.0)
    run = device.run(SHORT)
    reason = energy_of(run).reason
    assert run.windows is None and reason is not None and "did not change once in" in reason


def test_a_charging_device_is_not_looped_for_nothing(device: Device, battery: Callable[..., Battery]) -> None:
    battery().write("status", "Charging")
    result = device.result(PLAN)
    assert result["power"]["windows"] is None
    assert "phases_ns" not in result  # no worker was started
    energy = energy_of(energy_run_of(Reply(result, ())))
    assert (energy.available, energy.mj_per_inference) == (False, None)
    assert energy.reason is not None and "power_supply:battery is Charging" in energy.reason


@pytest.mark.parametrize("phase", ["idle_before", "run", "idle_after"])
def test_a_charger_that_is_plugged_in_within_the_run_voids_the_figure(
    device: Device, battery: Callable[..., Battery], phase: str
) -> None:
    playing = battery()
    playing.on_update = lambda now: playing.write("status", "Charging") if now == phase else None
    energy = energy_of(device.run(SHORT))
    assert not energy.available and energy.reason is not None and "is Charging" in energy.reason


def test_a_gauge_that_disappears_in_the_loop_voids_the_figure(
    device: Device, battery: Callable[..., Battery]
) -> None:
    playing = battery()

    def vanish(phase: str) -> None:
        if phase == "run":
            (playing.folder / "voltage_now").unlink(missing_ok=True)

    playing.on_update = vanish
    energy = energy_of(device.run(SHORT))
    assert not energy.available and energy.reason is not None
    assert "gave nothing for" in energy.reason and "voltage_now" in energy.reason


def test_a_device_without_a_source_says_so(device: Device) -> None:
    assert energy_of(device.run(PLAN)).reason == "no sensor of the device tells its power"


def test_a_loop_that_draws_nothing_more_is_not_told_from_idle(
    device: Device, battery: Callable[..., Battery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.LOOP_MW", IDLE_MW)
    battery()
    energy = energy_of(device.run(PLAN))
    assert not energy.available and energy.reason is not None and "cannot be told from" in energy.reason


@pytest.mark.parametrize("phase", ["idle_before", "run", "idle_after"])
def test_a_cancelled_job_ends_in_every_window(
    device: Device, battery: Callable[..., Battery], phase: str
) -> None:
    battery()
    device.start(SHORT)
    assert device.cancel_in(phase)["code"] == "cancelled"
    device.serves()


def test_the_jobs_own_limit_covers_the_idle_windows_too(
    device: Device, battery: Callable[..., Battery], said: Any
) -> None:
    battery()
    endless = {**PLAN, "window_min_ns": 60 * S, "window_max_ns": 60 * S}
    with pytest.raises(said, match="limit of 400 ms in phase idle_before") as error:
        device.result(endless, limits={"timeout_ms": 400})
    assert error.value.code == "timeout" and error.value.phase == "idle_before"


def test_a_worker_that_dies_in_the_loop_is_the_jobs_error(
    device: Device, battery: Callable[..., Battery], said: Any
) -> None:
    battery()
    with pytest.raises(said) as error:
        device.result(SHORT, options={"crash": "segv", "crash_after_runs": 3})
    assert error.value.code == "worker_crashed" and error.value.detail["signal"] == "SIGSEGV"


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {**PLAN, "window_min_ns": 3 * S},
        {**PLAN, "min_updates": -1},
        {**PLAN, "sample_period_ms": 0},
        {**PLAN, "more": 1},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_name(
    device: Device, plan: dict[str, Any], said: Any
) -> None:
    with pytest.raises(said, match="energy plan") as error:
        device.start(plan)
    assert error.value.code == "bad_request"
    device.serves()


FACTS = DeviceFacts(
    os="android", os_version="14", kernel="5.10", arch="aarch64", abis=("arm64-v8a",), libc="bionic",
    libc_version=None, model="Pixel 7", soc=None, api_level=34, cores=8, clusters=(), memory_bytes=None,
    memory_available_bytes=None, disk_free_bytes=None, power_sources=("power_supply:battery",),
)  # fmt: skip
SPEC = JobSpec("null", {}, {"delay_ns": DELAY_NS}, 1, None, "cpu")


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    tensor = TensorSpec("x", "float32", (4,), "x", (4,))
    return Artifact(
        path=tmp_path, key="k", runtime="null", precision="fp32", weights_dtype="fp32", compute_dtype="none",
        source_sha256="", files={}, sha256={}, size_bytes=0, inputs=(tensor,), outputs=(tensor,),
        runtime_options={}, tools={}, notes=(), verdict=Verdict(True, 0, {}), cached=False,
    )  # fmt: skip


@pytest.fixture
def session(agent: Any, tmp_path: Path) -> Iterator[AgentSession]:
    """A one-shot core that looks for its sensors under `tmp_path/root`."""
    transport = LocalTransport("board7")
    argv = agent.argv("core", tmp_path / "work", "--root", str(tmp_path / "root"))
    try:
        with AgentSession(transport.open_channel(argv), "board7") as opened:
            opened.attach("token", "host")
            yield opened
    finally:
        transport.close()


def deployed_energy(
    session: AgentSession, artifact: Artifact, facts: DeviceFacts, spec: JobSpec, phases: list[str]
) -> EnergyEvidence:
    sample = {"x": np.zeros(4, np.float32)}
    return measure_energy(
        session, spec, artifact, sample, facts, mode="quick", budget_s=1.2,
        on_progress=lambda phase, done, total: phases.append(phase),
    )  # fmt: skip


def test_a_deploys_energy_is_kept_with_its_readings(
    session: AgentSession, artifact: Artifact, tmp_path: Path
) -> None:
    phases = [""]
    battery = Battery(tmp_path / "root", lambda: phases[-1], 0.06)
    try:
        found = deployed_energy(session, artifact, FACTS, SPEC, phases)
    finally:
        battery.stop()
    document = found.energy.to_json()
    assert document["available"] is True, document["reason"]
    assert document["mj_per_inference"] == pytest.approx(
        (LOOP_MW - IDLE_MW) * document["window_s"] / document["inferences"], rel=0.1
    )
    assert document["source"] == "power_supply:battery" and document["idle_mw"] == pytest.approx(800, rel=0.1)
    times, readings = found.series["power_t_ns"], found.series["power_uw"]
    assert len(times) == len(readings) > document["samples"] > 10
    assert list(found.series["power_windows_ns"]) == sorted(found.series["power_windows_ns"])
    assert (
        times[0] <= found.series["power_windows_ns"][0] and found.series["power_windows_ns"][5] <= times[-1]
    )


def test_a_deploy_without_a_figure_says_why(
    session: AgentSession, artifact: Artifact, tmp_path: Path
) -> None:
    none = deployed_energy(session, artifact, replace(FACTS, power_sources=()), SPEC, [])
    assert none.energy.reason is not None and "no power sensor" in none.energy.reason
    phases = [""]
    battery = Battery(tmp_path / "root", lambda: phases[-1])
    try:
        crash = replace(SPEC, options={"crash": "abort", "crash_after_runs": 5})
        failed = deployed_energy(session, artifact, FACTS, crash, phases)
        battery.write("status", "Full")
        full = deployed_energy(session, artifact, FACTS, SPEC, phases)
    finally:
        battery.stop()
    assert failed.energy.reason is not None and "the energy run failed: board7: " in failed.energy.reason
    assert full.energy.reason is not None and "is Full" in full.energy.reason
    for evidence in (none, failed, full):
        assert not evidence.energy.available and evidence.energy.mj_per_inference is None
