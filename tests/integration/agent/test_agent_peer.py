"""The native agent's measuring against the Python agent's: one set of vectors and /sys trees, one answer."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import native_agent
import paddle_models
from edgeflow_agent import gauge, harness, stats, sysinfo
from edgeflow_agent.backends import paddlelite_model
from edgeflow_agent.energy import EnergyPlan
from edgeflow_agent.faults import Fault
from edgeflow_agent.gauge import Refused
from edgeflow_agent.power import probe, reason_of
from edgeflow_agent.recorder import Track
from edgeflow_agent.sampler import Sampler

MS = 1_000_000
S = 10**9


class Peer:
    """The C++ side (agent/native/tests/peer.cc), asked one thing at a time."""

    def __init__(self, program: Path, **how: Any) -> None:
        argv = [*native_agent.runner(), program]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", **how
        )

    def __call__(self, call: str, **request: Any) -> Any:
        """The answer's result; a Refused or a Fault is raised as Python would."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, **request}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "unread" in answer:
            path, _, words = answer["unread"].rpartition(": ")
            raise OSError(0, words, path)
        if "refused" in answer:
            raise Refused(answer["refused"])
        if "fault" in answer:
            raise Fault(answer["fault"]["code"], answer["fault"]["message"])
        assert "result" in answer, answer
        return answer["result"]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._process.stdout.close()


@pytest.fixture(scope="module")
def peer(native_peer: Path) -> Iterator[Peer]:
    found = Peer(native_peer)
    yield found
    found.close()


def outcome(call: Callable[[], Any]) -> Any:
    """What a call gives, or the words of what it raises."""
    try:
        return call()
    except (Refused, Fault) as error:
        return type(error).__name__, str(error)
    except OSError as error:
        return "OSError", reason_of(error)


def test_ranks_and_half_widths_agree(peer: Peer) -> None:
    for count in [*range(1500), 3001, 12_345, 100_000, 5_000_000]:
        assert peer("rank", count=count) == (stats.ci95_rank(count) if count else 0), count
    draw = random.Random(3)
    for count in [0, 1, 5, 6, 7, 20, 31, 100, 999]:
        samples = [round(draw.lognormvariate(15, 0.3)) for _ in range(count)]
        assert peer("half_width", samples=samples) == harness._relative_half_width(
            harness.array("q", samples)
        )
    assert peer("half_width", samples=[0] * 9) is None


class PlayedModel:
    """A clock, and a model whose durations are given; reading the clock takes no time."""

    def __init__(self, durations_ns: list[int]) -> None:
        self.now = 1_000
        self._durations_ns = durations_ns
        self._runs = 0

    def clock_ns(self) -> int:
        return self.now

    def run(self) -> None:
        self.now += self._durations_ns[self._runs % len(self._durations_ns)]
        self._runs += 1


def random_plan(draw: random.Random) -> dict[str, Any]:
    least = draw.choice([1, 3, 10, 30])
    return {
        "warmup_min_runs": draw.choice([0, 1, 5]), "warmup_min_ns": draw.choice([0, 40 * MS]),
        "min_samples": least, "min_ns": draw.choice([0, 100 * MS, S]),
        "max_samples": least + draw.choice([0, 1, 50, 900]),
        "budget_ns": draw.choice([0, 30 * MS, S, 10 * S]),
        "ci_target": draw.choice([None, 0.001, 0.02, 0.3]), "sample_period_ms": draw.choice([1, 100, 0.5e3]),
    }  # fmt: skip


def python_bench(plan: dict[str, Any], durations_ns: list[int]) -> dict[str, Any]:
    model = PlayedModel(durations_ns)
    reports: list[list[Any]] = []
    found = harness.bench(
        model.run, harness.Plan.from_meta(plan), lambda *report: reports.append(list(report)), model.clock_ns
    )
    return {
        "warmup_ns": list(found.warmup_ns), "samples_ns": list(found.samples_ns),
        "starts_ns": list(found.starts_ns), "stop": found.stop, "progress": reports,
    }  # fmt: skip


def test_the_harness_decides_alike_on_any_plan_and_model(peer: Peer) -> None:
    draw = random.Random(11)
    stops = set()
    for _ in range(100):
        plan = random_plan(draw)
        spread = draw.choice([0.001, 0.05, 0.5])
        durations = [round(draw.lognormvariate(15, spread)) for _ in range(draw.choice([1, 7, 400]))]
        expected = python_bench(plan, durations)
        assert peer("bench", plan=plan, durations_ns=durations) == expected, plan
        stops.add(expected["stop"])
        limit = draw.choice([0, 1, 100 * MS])
        model = PlayedModel(durations)
        expected_loop = list(harness.repeat(model.run, limit, model.clock_ns))
        assert peer("repeat", durations_ns=durations, duration_ns=limit) == expected_loop
    assert stops == {"ci", "budget", "max_samples"}


@pytest.mark.parametrize(
    "change",
    [
        {"min_samples": 0}, {"min_samples": 20_000}, {"budget_ns": -1}, {"budget_ns": 1.5}, {"ci_target": 0},
        {"ci_target": 1}, {"sample_period_ms": 0}, {"sample_period_ms": 3_600_001}, {"max_samples": 10**9},
        {"more": 1, "also": 2}, {"ci_target": 0.5, "min_ns": -7},
    ],
)  # fmt: skip
def test_a_bad_bench_plan_is_refused_in_the_same_words(peer: Peer, change: dict[str, Any]) -> None:
    plan = {**random_plan(random.Random(1)), **change}
    expected = outcome(lambda: harness.Plan.from_meta(plan))
    assert expected[0] == "Fault"
    assert outcome(lambda: peer("bench", plan=plan, durations_ns=[MS])) == expected
    del plan["warmup_min_runs"]
    assert outcome(lambda: peer("bench", plan=plan, durations_ns=[MS])) == outcome(
        lambda: harness.Plan.from_meta(plan)
    )


@pytest.mark.parametrize("value", [True, "2%", None, [1]])
@pytest.mark.parametrize("name", ["warmup_min_runs", "ci_target", "sample_period_ms"])
def test_a_value_of_another_type_is_refused_by_its_field(peer: Peer, name: str, value: Any) -> None:
    plan = {**random_plan(random.Random(1)), "ci_target": 0.02, name: value}
    expected = outcome(lambda: harness.Plan.from_meta(plan))
    found = outcome(lambda: peer("bench", plan=plan, durations_ns=[MS]))
    if name == "ci_target" and value is None:
        assert found["stop"]
    else:
        assert found[0] == expected[0] == "Fault" and f"bench plan: {name}=" in found[1]


@pytest.mark.parametrize(
    "change",
    [
        {}, {"window_min_ns": 0}, {"window_min_ns": 3 * S}, {"min_updates": -1}, {"sample_period_ms": 0},
        {"more": 1},
    ],
)  # fmt: skip
def test_energy_plans_are_checked_in_the_same_words(peer: Peer, change: dict[str, Any]) -> None:
    plan = {
        "window_min_ns": S, "window_max_ns": 2 * S, "settle_ns": 0, "min_updates": 12, "sample_period_ms": 10,
        **change,
    }  # fmt: skip
    expected = outcome(lambda: EnergyPlan.from_meta(plan).window_min_ns)
    assert outcome(lambda: peer("energy_plan", plan=plan)) == expected


def write(root: Path, path: str, text: object) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"{text}\n")
    return target


def python_sysinfo(root: str, pid: int) -> dict[str, Any]:
    times = sysinfo.cpu_times(root)
    return {
        "cpu_times": None if times is None else list(times),
        "process_ticks": sysinfo.process_ticks(pid, root),
        "rss_bytes": sysinfo.rss_bytes(pid, root),
        "temperatures_c": sysinfo.temperatures_c(root),
        "frequencies_mhz": sysinfo.frequencies_mhz(root),
    }


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    write(tmp_path, "proc/stat", "cpu  100 10 50 800 40 0 0 0 5 0\ncpu0 1 2 3 4")
    # A process name may hold blanks and brackets: fields are counted from the last one.
    write(tmp_path, "proc/42/stat", "42 (my) tool (x)) S 1 42 42 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0")
    groups = " ".join(str(number) for number in range(3000, 4000))  # as Android's shell has them, and more
    write(tmp_path, "proc/42/status", f"Name:\tx\nGroups:\t{groups}\nVmHWM:\t   9000 kB\nVmRSS:\t   8000 kB")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", 41500)
    write(tmp_path, "sys/class/thermal/thermal_zone10/temp", -2000)
    write(tmp_path, "sys/class/thermal/thermal_zone2/temp", "no data")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_input", 52000)
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_crit", 99000)
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", 1803000)
    write(tmp_path, "sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq", 2850000)
    write(tmp_path, "sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq", "<unknown>")
    write(tmp_path, "sys/devices/system/cpu/cpuidle/current_driver", "psci")
    return tmp_path


def test_a_phones_tree_is_read_alike(peer: Peer, phone: Path) -> None:
    def same() -> dict[str, Any]:
        found: dict[str, Any] = peer("sysinfo", root=str(phone), pid=42)
        assert found == python_sysinfo(str(phone), 42)
        return found

    assert all(same().values())
    for zone in (0, 10):
        write(phone, f"sys/class/thermal/thermal_zone{zone}/temp", "")
    assert same()["temperatures_c"] == {"hwmon1.temp1": 52.0}
    write(phone, "proc/stat", "cpu  1 2 3")
    write(phone, "proc/42/status", "Name:\tzombie")
    assert same()["cpu_times"] is None and same()["rss_bytes"] is None
    empty = phone / "empty"
    assert peer("sysinfo", root=str(empty), pid=42) == python_sysinfo(str(empty), 42)


def test_this_machine_is_read_alike(peer: Peer) -> None:
    """What stands still on it, and the names of what does not."""
    found, expected = peer("sysinfo", root="/", pid=1), python_sysinfo("/", 1)
    assert found["rss_bytes"] == expected["rss_bytes"]
    for name in ("temperatures_c", "frequencies_mhz"):
        assert found[name].keys() == expected[name].keys()
    assert all((found[name] is None) == (expected[name] is None) for name in ("cpu_times", "process_ticks"))


def test_samples_of_a_changing_device_are_the_same(peer: Peer, phone: Path) -> None:
    ticks = iter(range(1, 99))
    sampler = Sampler(42, 3_600_000, root=str(phone), clock_ns=lambda: next(ticks))
    sampler.start()
    peer("sampler.start", root=str(phone), pid=42)

    def both() -> None:
        sampler.sample()
        peer("sampler.sample", times=1)

    write(phone, "proc/stat", "cpu  180 10 50 820 40 0 0 0 5 0")
    write(phone, "proc/42/stat", "42 (x) S 1 42 42 0 -1 4194560 1 0 0 0 90 12 0 0 20 0 1 0")
    both()
    write(phone, "sys/class/thermal/thermal_zone0/temp", "")  # refuses one reading
    write(phone, "sys/class/thermal/thermal_zone2/temp", 50000)
    both()
    for zone in (0, 2, 10):  # none answers: the chip's sensor stands in
        write(phone, f"sys/class/thermal/thermal_zone{zone}/temp", "")
    write(phone, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "")  # taken offline
    (phone / "proc/42/stat").write_text("")
    both()
    (phone / "proc/stat").write_text("")
    both()
    write(phone, "proc/stat", "cpu  280 10 50 920 40 0 0 0 5 0")
    write(phone, "proc/42/stat", "42 (x) S 1 42 42 0 -1 4194560 1 0 0 0 99 12 0 0 20 0 1 0")
    write(phone, "sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq", 700000)
    found, expected = peer("sampler.stop"), sampler.stop()
    assert found == expected
    assert found["load"][0] == pytest.approx(0.8) and found["load"][1] is None
    assert found["temperature_c"]["hwmon1.temp1"] == [None, None, 52.0, 52.0, 52.0]
    assert found["frequency_mhz"]["cpu10"] == [None, None, None, None, 700.0]


def test_a_very_long_run_fits_a_frame_here_too(peer: Peer, tmp_path: Path) -> None:
    for zone in range(40):
        write(tmp_path, f"sys/class/thermal/thermal_zone{zone}/temp", 41123)
    peer("sampler.start", root=str(tmp_path), pid=42)
    peer("sampler.sample", times=10_000)
    found = peer("sampler.stop")
    assert len(json.dumps(found)) < 1 << 19
    assert 500 < len(found["t_ns"]) < 1200 and found["t_ns"][-1] == 10_001
    assert all(len(zone) == len(found["t_ns"]) for zone in found["temperature_c"].values())


def test_readings_of_every_convention_mean_the_same(peer: Peer) -> None:
    draw = random.Random(5)
    cases: list[tuple[list[int], list[int] | None]] = [
        ([0, 0, 0], [4_000_000] * 3),
        ([3, 4, 5], None),
        ([-400_000, 300_000, -350_000], [4_000_000] * 3),
        ([-100_000], [38]),
        ([2_000_000_000, 2_100_000_000], [4_000_000] * 2),
        ([7_500_000, 9_000_000], None),
    ]
    for _ in range(300):
        count = draw.choice([1, 2, 3, 10, 50])
        scale = draw.choice([-1, 1]) * 10 ** draw.randrange(0, 8)
        noise = draw.choice([0, 0.1, 0.9])
        readings = [round(scale * draw.gauss(3, noise)) for _ in range(count)]
        volts = draw.choice([3_850, 3_850_000, 11_400_000, 120])
        voltages = [round(draw.gauss(volts, volts / 50)) for _ in range(count)]
        cases.append((readings, draw.choice([voltages, None])))
    refused = 0
    for readings, voltages in cases:
        expected = outcome(lambda: dict(gauge.discharge("bat", readings, voltages)._asdict()))  # noqa: B023
        found = outcome(lambda: peer("discharge", name="bat", readings=readings, voltages=voltages))  # noqa: B023
        assert found == expected, (readings, voltages)
        refused += isinstance(expected, tuple)
    assert 20 < refused < 280


def supply(root: Path, folder: str, /, **files: object) -> Path:
    for file, text in files.items():
        write(root, f"sys/class/{folder}/{file}", text)
    return root / "sys/class" / folder


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """A board with every kind of source, mirrors and strangers among them."""
    known: dict[str, Any] = {"type": "Battery", "status": "Discharging", "voltage_now": 3_850_000}
    supply(tmp_path, "power_supply/battery", **known, current_now=-200_000)
    supply(tmp_path, "power_supply/BAT0", **{**known, "status": "Full"}, power_now=7_000_000)
    supply(tmp_path, "power_supply/mouse", **known, scope="Device", current_now=10_000)
    supply(tmp_path, "power_supply/max-charger", type="USB", online=0, current_now=500_000)
    supply(tmp_path, "powercap/intel-rapl", enabled=1)
    package = {"name": "package-0", "energy_uj": 1, "max_energy_range_uj": 262_143_328_850}
    supply(tmp_path, "powercap/intel-rapl:0", **package)
    supply(tmp_path, "powercap/intel-rapl:0:0", name="core", energy_uj=1)
    supply(tmp_path, "powercap/intel-rapl:1", name="psys", energy_uj=1)
    supply(tmp_path, "powercap/intel-rapl:2", energy_uj="many")
    supply(tmp_path, "powercap/intel-rapl-mmio:0", name="package-0", energy_uj=1)
    supply(tmp_path, "hwmon/hwmon0", name="battery", power1_input=1)
    supply(tmp_path, "hwmon/hwmon5", name="max_charger", power1_input=1)
    supply(
        tmp_path, "hwmon/hwmon1", name="ina3221", in1_label="VDD_IN", curr1_input=400, in1_input=5000,
        in2_label="VDD_CPU", curr2_input=100, in2_input=5000, in4_input=3,
        power3_input=7, power3_label="pom_5v_in",
    )  # fmt: skip
    supply(tmp_path, "hwmon/hwmon2", name="amdgpu", power1_average=5_000_000)
    supply(
        tmp_path, "hwmon/hwmon3", power1_average=5_000_000, power1_input=6, power16_input=1, power17_input=1
    )
    supply(tmp_path, "hwmon/hwmon4", name="k10temp", curr1_input=400, in1_input=5000)
    supply(
        tmp_path, "hwmon/hwmon6", name="ina3221", in1_label="VDD_GPU_SOC", curr1_input=288, in1_input=19104,
        in2_label="VDD_CPU_CV", curr2_input=64, in2_input=19104,
        in3_label="VIN_SYS_5V0", curr3_input=752, in3_input=5016,
        in4_label="NC", curr4_input=0, in4_input=0,
    )  # fmt: skip
    return tmp_path


def tracks_of(peer: Peer, root: Path) -> list[Track]:
    sources = probe(str(root))
    assert peer("probe", root=str(root)) == [
        {"name": s.name, "kind": s.kind, "covers": s.covers, "quantity": s.quantity, "rank": s.rank}
        for s in sources
    ]
    return [Track(source) for source in sources]


def same_tracks(peer: Peer, tracks: list[Track], since_ns: int = 0) -> list[Any]:
    entries = []
    for index, track in enumerate(tracks):
        entry = peer("track", index=index, since_ns=since_ns)
        expected = {**track.to_json(), "t_ns": track.t_ns, "updates_since": track.updates_since(since_ns)}
        assert entry == expected
        if track.rows:
            assert outcome(lambda: peer("series", index=index)) == outcome(  # noqa: B023
                lambda: dict(track.source.series(track.t_ns, track.rows)._asdict())  # noqa: B023
            )
        entries.append(entry)
    return entries


def poll(peer: Peer, tracks: list[Track], now_ns: int) -> None:
    for index, track in enumerate(tracks):
        track.poll(lambda: now_ns)
        peer("poll", index=index, clock_ns=now_ns)


def test_the_same_sources_are_found_and_read(peer: Peer, device: Path) -> None:
    tracks = tracks_of(peer, device)
    assert len(tracks) >= 10
    draw = random.Random(9)
    counter = 262_143_328_850 - 5_000_000
    for tick in range(60):
        step = tick // 3
        supply(device, "power_supply/battery", current_now=-200_000 - 1000 * step)
        counter = (counter + draw.randrange(0, 400_000)) % 262_143_328_850
        supply(device, "powercap/intel-rapl:0", energy_uj=counter)
        supply(device, "powercap/intel-rapl:1", energy_uj=90_000_000 if tick < 30 else 5)  # has no range
        supply(device, "hwmon/hwmon1", curr1_input=400 + 8 * draw.randrange(0, 10))
        orin = {"curr2_input": 64 + 32 * draw.randrange(0, 10), "in2_input": 19104 + 8 * (tick % 3)}
        supply(device, "hwmon/hwmon6", **orin)
        poll(peer, tracks, tick * S // 20)
    entries = {entry["name"]: entry for entry in same_tracks(peer, tracks, S)}
    assert entries["power_supply:battery"]["period_ns"] == 3 * S // 20
    assert "is Full" in entries["power_supply:BAT0"]["refused"]
    assert "no number" in entries["powercap:intel-rapl:2"]["refused"]
    for index, track in enumerate(tracks):
        peer("still", index=index)
        if track.refused is None and not track.changes_ns:
            assert "did not change once in 2.95 s" in peer("track", index=index, since_ns=0)["refused"]


def test_a_source_that_disappears_and_one_that_is_plugged_in(peer: Peer, device: Path) -> None:
    tracks = tracks_of(peer, device)
    poll(peer, tracks, S)
    (device / "sys/class/power_supply/battery/voltage_now").unlink()
    poll(peer, tracks, 2 * S)
    at = [track.source.name for track in tracks].index("power_supply:battery")
    entry = same_tracks(peer, tracks)[at]
    assert entry["missed"] == 1 and "voltage_now: No such file" in entry["last_error"]
    supply(device, "power_supply/max-charger", online=1)
    poll(peer, tracks, 3 * S)
    assert "max-charger feeds the device beside" in same_tracks(peer, tracks)[at]["refused"]


def test_a_name_that_is_no_utf8_is_a_name_all_the_same(peer: Peer, tmp_path: Path) -> None:
    folder = supply(tmp_path, "hwmon/hwmon0", power1_input=5)
    (folder / "name").write_bytes(b"chip\xff\n")
    (track,) = tracks_of(peer, tmp_path)
    assert track.source.name == "hwmon:chip�.power1"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
def test_permission_denied_is_a_reason(native_peer: Path) -> None:
    if native_agent.runner():
        pytest.skip("the emulator is started as root")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        root = Path(folder)
        root.chmod(0o755)
        program = root / "peer"
        program.write_bytes(native_peer.read_bytes())
        program.chmod(0o755)
        (supply(root, "powercap/intel-rapl:0", name="package-0", energy_uj=1) / "energy_uj").chmod(0o400)
        other = Peer(program, user=65534)
        try:
            assert other("probe", root=folder)[0]["name"] == "powercap:package-0"
            with pytest.raises(Refused, match=r"energy_uj needs root \(permission denied\)"):
                other("read", index=0)
        finally:
            other.close()


def test_models_of_paddle_lite_and_damaged_ones_are_read_alike(peer: Peer, tmp_path: Path) -> None:
    draw = random.Random(4)
    nb, arm_nb = ((paddle_models.FOLDER / f"small.{place}.nb").read_bytes() for place in ("x86", "arm"))
    graph_bytes = int.from_bytes(nb[18:26], "little")
    contents = [nb, arm_nb, b"", nb[: 26 + graph_bytes]]
    contents += [nb[: draw.randrange(len(nb))] for _ in range(100)]
    for _ in range(1000):
        damaged = bytearray(nb)
        for _ in range(draw.choice((1, 1, 4, 40))):
            damaged[draw.randrange(26 + graph_bytes)] = draw.choice((0, 1, 0x7F, 0xFF, draw.randrange(256)))
        contents.append(bytes(damaged))
    path, verdicts = tmp_path / "model.nb", []
    for content in contents:
        path.write_bytes(content)
        try:
            model = paddlelite_model.read_model(str(path))
            ours: Any = {
                "kernels": [list(kernel) for kernel in model.kernels],
                "inputs": model.inputs,
                "compute_dtype": paddlelite_model.compute_dtype(model),
            }
        except Fault as fault:
            ours = fault.code
        try:
            theirs: Any = peer("paddlelite_model", path=os.fspath(path))
        except Fault as fault:
            theirs = fault.code
        assert ours == theirs, len(verdicts)
        verdicts.append(ours)
    assert verdicts[0] == verdicts[3] != verdicts[1] and verdicts[0]["inputs"]["ids"] == [-1, 4]
    assert 100 < verdicts.count("load_failed") < len(verdicts)
