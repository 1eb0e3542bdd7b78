"""A one-shot core in a real process: jobs, every way a worker can die, and what is left afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edgeflow_agent
from edgeflow_agent import sysinfo
from edgeflow_agent.wire import HEADER, Frame, FrameType, Tensor
from processes import children_of

X = Tensor("x", "float32", (2, 3), struct.pack("<6f", *range(6)), 0)
PLAN: dict[str, Any] = {
    "warmup_min_runs": 2, "warmup_min_ns": 0, "min_samples": 10, "min_ns": 0, "max_samples": 50,
    "budget_ns": 10**9,
    "ci_target": None, "sample_period_ms": 20,
}  # fmt: skip


def await_lock(path: Path) -> None:
    """Blocks until nobody holds the job lock; core and worker do for as long as either lives."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def old_python() -> str:
    """A Python 3.8 that really starts, or a skip with the reason."""
    found = shutil.which("python3.8")
    if found is None or subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("no working python3.8 on PATH")
    return found


PYTHON_ONLY = pytest.mark.parametrize("agent", ["python"], indirect=True)


def test_hello_says_who_speaks(connect: Callable[..., Any], agent: Any) -> None:
    hello = connect(token=None).greeting
    assert hello["protocol"] == 1
    assert hello["agent"]["kind"] == agent.kind and hello["agent"]["build"] == agent.build
    assert hello["agent"]["version"] == edgeflow_agent.__version__ and hello["agent"]["flags"]
    assert hello["backends"]["null"] == {"available": True, "version": "1"}
    onnxruntime = hello["backends"]["onnxruntime"]
    if agent.kind == "python":  # this very interpreter has the package
        assert onnxruntime["available"] and onnxruntime["version"]
    else:
        assert not onnxruntime["available"] and onnxruntime["reason"]
    assert hello["accelerators"] == ["cpu"] and hello["busy"] is None


def test_infer_gives_each_set_back_under_its_number(connect: Callable[..., Any]) -> None:
    client = connect()
    other = X._replace(set=5, data=struct.pack("<6f", *range(6, 12)))
    result = client.job("infer", [X, other])
    assert [(t.name, t.set, t.shape, bytes(t.data)) for t in client.tensors()] == [
        ("x", 0, (2, 3), X.data), ("x", 5, (2, 3), other.data)
    ]  # fmt: skip
    assert result["runtime"]["name"] == "null" and result["init_ns"] > 0 and result["affinity"] is None
    assert [p["phase"] for p in client.progress] == ["import", "load", "bind", "first", "run"]


def test_bench_gives_every_sample_and_what_the_device_did_meanwhile(connect: Callable[..., Any]) -> None:
    client = connect()
    result = client.job("bench", [X], plan=PLAN, options={"delay_ns": 2_000_000})
    tensors = {t.name: struct.unpack(f"<{t.shape[0]}q", t.data) for t in client.tensors()}
    assert result["stop"] == "max_samples"
    assert len(tensors["samples_ns"]) == len(tensors["starts_ns"]) == 50 and len(tensors["warmup_ns"]) == 2
    assert min(tensors["samples_ns"]) >= 2_000_000  # a sleep of 2 ms is never shorter
    starts = tensors["starts_ns"]
    assert all(starts[i] + tensors["samples_ns"][i] <= starts[i + 1] for i in range(49))
    t_ns = result["sampling"]["t_ns"]
    # One clock: the core sampled while the worker ran.
    assert t_ns == sorted(t_ns) and any(starts[0] < t < starts[-1] for t in t_ns)
    if sys.platform == "linux":
        assert len(result["sampling"]["load"]) == len(result["sampling"]["worker_load"]) == len(t_ns)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_is_set_and_read_back_or_refused(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    cpu = max(os.sched_getaffinity(0))
    assert client.job("infer", [X], affinity=[cpu])["affinity"] == [cpu]
    with pytest.raises(said) as error:
        client.job("infer", [X], affinity=[4095])
    assert error.value.code == "unsupported_setting" and "4095" in error.value.message


def test_memory_sees_what_the_model_takes(connect: Callable[..., Any]) -> None:
    size = 64 << 20
    result = connect().job("memory", [X], plan={"runs": 2}, options={"allocate_bytes": size})
    assert size <= result["model_bytes"] < size * 1.1
    assert result["peak_rss_bytes"] >= (result["interpreter_bytes"] or 0) + size
    assert result["runtime_bytes"] < 8 << 20


@pytest.mark.parametrize(
    ("crash", "phase", "signal_name", "exit_code"),
    [
        ("abort", "load", "SIGABRT", None),
        ("segv", "bind", "SIGSEGV", None),
        ("exit", "run", None, 3),
        ("rubbish", "load", None, 0),
    ],
)
def test_a_crash_is_the_jobs_with_signal_phase_and_last_words(
    connect: Callable[..., Any],
    said: Any,
    crash: str,
    phase: str,
    signal_name: str | None,
    exit_code: int | None,
) -> None:
    client = connect()
    with pytest.raises(said) as error:
        client.job("infer", [X], options={"crash": crash, "crash_phase": phase, "print": "last words"})
    assert error.value.code == "worker_crashed"
    assert error.value.detail["signal"] == signal_name and error.value.detail["exit_code"] == exit_code
    assert error.value.phase == error.value.detail["phase"] == ("first" if phase == "run" else phase)
    assert "last words" in error.value.detail["log"]
    client.job("infer", [X])  # the core still serves


def test_a_crash_in_the_timed_loop_names_that_phase(connect: Callable[..., Any], said: Any) -> None:
    with pytest.raises(said) as error:
        connect().job("bench", [X], plan=PLAN, options={"crash": "segv", "crash_after_runs": 20})
    assert (error.value.code, error.value.phase) == ("worker_crashed", "run")


@pytest.mark.parametrize(("crash", "code"), [("fault", "run_failed"), ("exception", "internal")])
def test_a_failure_that_is_no_crash_keeps_its_code(
    connect: Callable[..., Any], said: Any, crash: str, code: str
) -> None:
    with pytest.raises(said) as error:
        connect().job("infer", [X], options={"crash": crash})
    assert (error.value.code, error.value.phase) == (code, "first")


def test_limits_end_a_job_and_say_which(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    with pytest.raises(said) as error:
        client.job("infer", [X], options={"crash": "hang"}, limits={"timeout_ms": 300})
    assert error.value.code == "timeout" and "300 ms" in error.value.message
    with pytest.raises(said) as error:
        client.job(
            "infer",
            [X],
            options={"allocate_bytes": 96 << 20, "crash": "hang"},
            limits={"memory_bytes": 80 << 20},
        )
    assert error.value.code == "out_of_memory"


def test_cancel_status_and_ping_answer_while_a_job_is_awaited(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    job = client.start("infer", [X], options={"crash": "hang"})
    waiting = client.send("job.wait", job=job)
    client.until_phase("first")
    assert client.call("ping") == {}
    assert client.call("job.status", job=job)["state"] == "running"
    client.send("job.cancel", job=job)
    answers = {}
    for _ in range(2):
        try:
            client.receive()
        except said as error:
            assert error.code == "cancelled"
        answers[client.answer.meta["id"]] = client.answer.type
    assert answers[waiting] is FrameType.ERROR and FrameType.RESPONSE in answers.values()
    assert client.call("job.status", job=job)["state"] == "cancelled"
    client.job("infer", [X])


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"backend": "tvm"}, "backend_missing"),
        ({"accelerator": "npu"}, "unsupported_accelerator"),
        ({"kind": "train"}, "bad_request"),
        ({"threads": 0}, "bad_request"),
        ({"threads": "all"}, "bad_request"),
        ({"affinity": ["0"]}, "bad_request"),
        ({"limits": {"timeout_s": 3}}, "bad_request"),
        ({"plan": {"runs": 3}}, "bad_request"),
        ({"files": {"model": "0" * 64}}, "bad_request"),
        ({"backend": "onnxruntime", "files": {"model": "0" * 64}}, "no_file"),
        ({"backend": "onnxruntime", "files": {"model": "../../etc/passwd"}}, "bad_request"),
        ({"thread": 2}, "bad_request"),
    ],
)
def test_a_bad_request_is_refused_before_any_worker(
    connect: Callable[..., Any], said: Any, work: Path, params: dict[str, Any], code: str
) -> None:
    with pytest.raises(said) as error:
        connect().start(**{"kind": "infer", "tensors": [X], **params})
    assert error.value.code == code
    assert list((work / "jobs").iterdir()) == []


def test_requests_that_make_no_sense_are_answered_by_code(connect: Callable[..., Any], said: Any) -> None:
    client = connect(token=None)
    for method, params, code in [
        ("job.list", {}, "not_attached"),
        ("job.wait", {"job": "x"}, "not_attached"),
        ("dance", {}, "unknown_method"),
        ("attach", {"token": "", "host": "h"}, "bad_request"),
        ("files.stat", {"sha256": ["../x"]}, "bad_request"),
        ("logs", {"lines": -1}, "bad_request"),
    ]:
        with pytest.raises(said) as error:
            client.call(method, **params)
        assert error.value.code == code, method
    client.call("attach", token="t", host="h")
    with pytest.raises(said) as error:
        client.call("job.wait", job="nothing")
    assert error.value.code == "no_job"
    with pytest.raises(said) as error:
        client.start("infer", [X, X])
    assert error.value.code == "bad_input"


@pytest.mark.parametrize(
    "rubbish",
    [b"GET / HTTP/1.1\r\n", HEADER.pack(b"EDGF", 1, 2, 2, 0) + b"[]", HEADER.pack(b"EDGF", 7, 2, 2, 0)],
)
def test_what_is_not_the_protocol_ends_the_connection(
    connect: Callable[..., Any], said: Any, rubbish: bytes
) -> None:
    client = connect()
    os.write(client.process.stdin.fileno(), rubbish)
    with pytest.raises(said) as error:
        client.receive()
    assert error.value.code == "bad_frame"
    assert client.process.wait(20) == 1


def test_a_response_from_the_host_is_a_bad_frame(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    client.stream.write_frame(Frame(FrameType.RESPONSE, {"id": 1, "result": {}}))
    with pytest.raises(said) as error:
        client.receive()
    assert error.value.code == "bad_frame"


def test_files_are_present_only_with_their_content(
    connect: Callable[..., Any], said: Any, work: Path, put: Callable[[bytes], str]
) -> None:
    client = connect()
    good, bad, absent = put(b"good"), put(b"bad"), "0" * 64
    (work / "files" / bad).write_bytes(b"cut")
    assert client.call("files.stat", sha256=[good, bad, absent]) == {"present": [good]}
    (work / "files" / good).write_bytes(b"gone bad after it was checked")
    with pytest.raises(said) as error:
        client.start("infer", [X], backend="onnxruntime", files={"model": good})
    assert error.value.code == "file_corrupt"


def test_the_device_runs_one_job_whoever_asks(connect: Callable[..., Any], said: Any) -> None:
    first, second = connect(host="alice"), connect(token="other", host="bob")
    job = first.start("infer", [X], options={"crash": "hang"})
    with pytest.raises(said) as error:
        second.start("infer", [X])
    assert error.value.code == "busy" and "alice" in error.value.message
    with pytest.raises(said) as error:
        first.start("infer", [X])
    assert error.value.code == "busy"
    assert connect(token=None).greeting["busy"]["by"] == "alice"
    first.call("job.cancel", job=job)
    second.job("infer", [X])


@pytest.mark.parametrize("how", ["hang up", "SIGTERM", "SIGINT", "SIGKILL"])
def test_no_worker_outlives_its_core(connect: Callable[..., Any], work: Path, how: str) -> None:
    client = connect()
    client.send("job.wait", job=client.start("infer", [X], options={"crash": "hang"}))
    client.until_phase("first")
    if how == "hang up":
        assert client.hang_up() == 0
    else:
        number = signal.Signals[how]
        client.process.send_signal(number)
        assert client.process.wait(20) == (-number if how == "SIGKILL" else 128 + number)
    await_lock(work / "lock")  # the worker holds it too: granted only when both are gone
    next_client = connect()
    next_client.job("infer", [X])
    next_client.hang_up()
    assert list((work / "jobs").iterdir()) == []  # also what the killed core left


def test_what_a_killed_core_left_goes_though_another_process_has_its_id(
    connect: Callable[..., Any], work: Path
) -> None:
    """As after a reboot. A record of an older agent tells no time: it is believed while the id is used."""
    client = connect()
    client.send("job.wait", job=client.start("infer", [X], options={"crash": "hang"}))
    client.until_phase("first")
    (written,) = (work / "jobs").glob("*/job.json")
    record = json.loads(written.read_text())
    began = sysinfo.process_start_ticks(client.process.pid)
    assert (record["pid"], record["started_ticks"]) == (client.process.pid, began)
    me = {"pid": os.getpid(), "started_ticks": sysinfo.process_start_ticks(os.getpid())}
    another = {"pid": os.getpid(), "started_ticks": me["started_ticks"] + 1}
    for job, core in {"reused": another, "lives": me, "old": {"pid": os.getpid()}}.items():
        rest = {name: value for name, value in record.items() if name not in me}
        (work / "jobs" / job).mkdir()
        (work / "jobs" / job / "job.json").write_text(json.dumps({**rest, "job": job, **core}))
    connect()  # a core sweeps before it greets
    kept = {path.name for path in (work / "jobs").iterdir() if path.is_dir()}
    assert kept == {record["job"], "lives", "old"}


def test_shutdown_ends_the_core_but_not_under_a_job(connect: Callable[..., Any], said: Any) -> None:
    client = connect()
    client.start("infer", [X], options={"crash": "hang"})
    with pytest.raises(said) as error:
        client.call("shutdown")
    assert error.value.code == "busy"
    client.call("shutdown", force=True)
    assert client.process.wait(20) == 0


def test_a_finished_job_is_kept_until_acknowledged(
    connect: Callable[..., Any], said: Any, work: Path
) -> None:
    client = connect()
    job = client.start("infer", [X])
    first = client.call("job.wait", job=job)
    assert client.call("job.wait", job=job) == first
    assert [entry["state"] for entry in client.call("job.list")["jobs"]] == ["done"]
    client.call("job.ack", job=job)
    assert not [path for path in (work / "jobs").iterdir() if path.is_dir()]
    with pytest.raises(said) as error:
        client.call("job.wait", job=job)
    assert error.value.code == "no_job"


@PYTHON_ONLY
def test_an_old_python_runs_the_same_agent(connect: Callable[..., Any], said: Any) -> None:
    client = connect(python=old_python())
    assert " 3.8." in client.greeting["agent"]["version"]
    client.job("bench", [X], plan=PLAN)
    with pytest.raises(said) as error:
        client.job("infer", [X], options={"crash": "segv"})
    assert error.value.detail["signal"] == "SIGSEGV"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_idle_core_is_small(connect: Callable[..., Any], agent: Any) -> None:
    if agent.emulated or agent.watched:
        pytest.skip("an emulator's or a sanitizer's memory is not the agent's")
    client = connect()

    def rss_kib() -> int:
        status = Path(f"/proc/{client.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    limit_kib = {"python": 20, "native": 2}[agent.kind] * 1024
    assert rss_kib() <= limit_kib
    if agent.kind == "native":  # what a job took is given back
        big = X._replace(shape=(1 << 20,), data=bytes(4 << 20))
        for _ in range(3):
            job = client.start("infer", [big])
            client.call("job.wait", job=job)
            client.call("job.ack", job=job)
        assert rss_kib() <= limit_kib


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_inherited_thread_settings_do_not_reach_the_runtime(
    connect: Callable[..., Any], said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setenv("KMP_AFFINITY", "compact")
    client = connect()
    client.send("job.wait", job=client.start("bench", [X], plan=PLAN, threads=2, options={"crash": "hang"}))
    client.until_phase("first")
    (task,) = children_of(client.process.pid)
    told = Path(f"/proc/{task}/environ").read_bytes().split(b"\0")
    assert b"OMP_NUM_THREADS=2" in told
    assert not [entry for entry in told if entry.startswith((b"OMP_WAIT_POLICY", b"KMP_"))]


def test_a_host_that_reads_no_more_does_not_keep_the_core_alive(connect: Callable[..., Any]) -> None:
    client = connect()
    big = X._replace(shape=(1 << 18,), data=bytes(1 << 20))
    job = client.start("infer", [big])
    client.send("job.wait", job=job)  # the answer of 1 MiB fills the pipe: nobody reads it
    client.process.send_signal(signal.SIGTERM)
    assert client.process.wait(20) == 128 + signal.SIGTERM
