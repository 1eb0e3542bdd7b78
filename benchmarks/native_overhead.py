"""What the native agent adds: to a timing, and to a request.

    python benchmarks/native_overhead.py loop --agent A --site worker=W --bare B --runtime ncnn --zoo NAME
    python benchmarks/native_overhead.py loop ... --runtime tflite --file model=M.tflite --input x=1,224,224,3
    python benchmarks/native_overhead.py agents --agent A --site worker=W --runtime onnxruntime --zoo NAME
    python benchmarks/native_overhead.py roundtrip --agent A [--device phone]

`loop` compares a worker's median with a bare loop of the same runtime, built with the same flags and the same
library (benchmarks/native), in interleaved pairs that alternate in order; both are fresh processes each time.
It prints the median paired ratio with its 95 % interval and is meant for models of 5 ms and more.

`agents` compares the native agent's median with the Python agent's in the same way. Both should load the same
library: --python-path names the folder of the unpacked wheel that it was taken from, unless it is installed.

`roundtrip` times requests to the agent: `ping`, which is the way there and back, and a whole inference of the
null runtime: job.start, a worker process, job.wait. With --device the agent is pushed to that device of
devices.yaml and talked to through its transport.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgeflow.agentlink.session import AgentSession
from edgeflow.devices.transports.base import Transport
from edgeflow_agent.stats import median, median_ci95
from edgeflow_agent.wire import Tensor

LIMIT = 1.01
AGENTS_LIMIT = 0.02  # away from 1, either way
MIN_MODEL_NS = 5_000_000
WARMUP_NS = 300_000_000
X = Tensor("x", "float32", (4,), bytes(16), 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = parser.add_subparsers(dest="way", required=True)
    loop, agents = ways.add_parser("loop"), ways.add_parser("agents")
    loop.add_argument("--bare", type=Path, required=True, help="the bare loop of the same build")
    loop.add_argument("--runtime", choices=("ncnn", "tflite"), required=True)
    agents.add_argument("--python-path", type=Path, help="where the Python agent finds the runtime's package")
    agents.add_argument("--runtime", choices=("mnn", "ncnn", "onnxruntime", "tflite"), required=True)
    for way in (loop, agents):
        way.add_argument("--agent", type=Path, required=True, help="the native core")
        way.add_argument(
            "--site", action="append", required=True, metavar="NAME=FILE", help="worker=…, and libraries"
        )
        way.add_argument("--zoo", metavar="NAME", help="a model of the zoo, converted for --runtime")
        way.add_argument(
            "--file", action="append", metavar="ROLE=FILE", help="instead of --zoo, with --input"
        )
        way.add_argument(
            "--input", action="append", metavar="NAME=SHAPE", help="as the runtime has it: x=3,224,224"
        )
        way.add_argument("--threads", type=int, default=1)
        way.add_argument("--pairs", type=int, default=20)
        way.add_argument("--samples", type=int, default=30)
    trip = ways.add_parser("roundtrip")
    trip.add_argument("--agent", type=Path, required=True)
    trip.add_argument("--device", help="a device of devices.yaml; without it this machine, over a pipe")
    trip.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    return measure_round_trip(args) if args.way == "roundtrip" else measure_medians(args)


def measure_round_trip(args: Any) -> int:
    with session_of(args) as session:
        trips: dict[str, Callable[[], Any]] = {
            "ping": lambda: session.call("ping"),
            "inference": lambda: infer(session),
        }
        for name, trip in trips.items():
            trip()
            durations_ms = []
            for _ in range(args.count):
                begin = time.perf_counter_ns()
                trip()
                durations_ms.append((time.perf_counter_ns() - begin) / 1e6)
            cuts = statistics.quantiles(durations_ms, n=100)
            print(f"{name}: {args.count} round trips, p50 {cuts[49]:.3f} ms, p99 {cuts[98]:.3f} ms")
    return 0


def infer(session: AgentSession) -> None:
    job = session.call("job.start", {"kind": "infer", "backend": "null"}, [X]).result["job"]
    session.call("job.wait", {"job": job})
    session.call("job.ack", {"job": job})


@contextlib.contextmanager
def session_of(args: Any) -> Iterator[AgentSession]:
    """The agent as a one-shot core, in a folder that goes with it."""
    from edgeflow.devices.transports.local import LocalTransport

    with contextlib.ExitStack() as stack:
        if args.device is None:
            transport: Transport = LocalTransport("local")
            stack.callback(transport.close)
            folder = PurePosixPath(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            from edgeflow.config.devices import load_fleet
            from edgeflow.config.home import edgeflow_home
            from edgeflow.devices.device import open_device

            spec = load_fleet(None, Path.cwd(), edgeflow_home()).get(args.device)
            device = stack.enter_context(open_device(spec, edgeflow_home()))
            transport, folder = device.transport, device.work_dir / "bench"
            stack.callback(transport.run, ["rm", "-rf", str(folder)], timeout_s=30)
        transport.push(args.agent, folder / "edgeflow-agent")
        argv = [str(folder / "edgeflow-agent"), "core", "--work", str(folder / "work")]
        session = stack.enter_context(AgentSession(transport.open_channel(argv), args.device or "local"))
        session.attach("bench", "bench")
        yield session


def measure_medians(args: Any) -> int:
    files, inputs = converted(args) if args.zoo else given(args)
    draw = np.random.default_rng(0)
    tensors = [
        Tensor(name, "float32", shape, draw.random(shape, dtype=np.float32).tobytes(), 0)
        for name, shape in inputs.items()
    ]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job = job_params(args, folder, files)
        native = stack.enter_context(local_session([str(args.agent)], folder))
        if args.way == "loop":
            peer = "bare"
            ways: list[Callable[[], float]] = [
                lambda: agent_median(native, job, tensors),
                lambda: bare_median(args, files, list(inputs.values())),
            ]
        else:
            peer = "python"
            python = stack.enter_context(python_session(args, folder))
            of_python = {name: value for name, value in job.items() if name != "site"}
            ways = [
                lambda: agent_median(native, job, tensors),
                lambda: agent_median(python, of_python, tensors),
            ]
        ratios = paired_ratios(ways, args.pairs, peer)
    low, high = median_ci95(ratios)
    middle = median(ratios)
    name = args.zoo or "given files"
    print(f"{args.runtime}, {name}, {args.threads} threads: {len(ratios)} pairs, ", end="")
    print(f"median ratio agent/{peer} {middle:.4f}, 95 % interval [{low:.4f}, {high:.4f}]; ", end="")
    if args.way == "loop":
        print(f"upper bound {'within' if high <= LIMIT else 'OVER'} {LIMIT}")
        return 0 if high <= LIMIT else 1
    within = abs(middle - 1) <= AGENTS_LIMIT
    print(f"median {'within' if within else 'NOT within'} 1 ± {AGENTS_LIMIT}")
    return 0 if within else 1


def paired_ratios(ways: list[Callable[[], float]], pairs: int, peer: str) -> list[float]:
    """The first way's time over the second's, taken in pairs that alternate in order."""
    ratios = []
    for pair in range(pairs):
        order = (0, 1) if pair % 2 else (1, 0)
        found = {way: ways[way]() for way in order}
        ratios.append(found[0] / found[1])
        agent_ms, peer_ms = found[0] / 1e6, found[1] / 1e6
        print(f"pair {pair + 1}: agent {agent_ms:.3f} ms, {peer} {peer_ms:.3f} ms", file=sys.stderr)
        if found[1] < MIN_MODEL_NS:
            print("the model takes under 5 ms: the process decides more than the harness", file=sys.stderr)
    return ratios


@contextlib.contextmanager
def local_session(agent: list[str], folder: Path) -> Iterator[AgentSession]:
    from edgeflow.devices.transports.local import LocalTransport

    with contextlib.closing(LocalTransport("local")) as transport:
        channel = transport.open_channel([*agent, "core", "--work", str(folder)])
        with AgentSession(channel, "local") as session:
            session.attach("bench", "bench")
            yield session


@contextlib.contextmanager
def python_session(args: Any, folder: Path) -> Iterator[AgentSession]:
    """The Python agent in the same work folder: it has the model's files already."""
    from edgeflow_agent.bundle import build_agent

    built = build_agent(folder / "agent.pyz")
    found = [f"PYTHONPATH={args.python_path}"] if args.python_path else []
    with local_session(["env", *found, sys.executable, str(built.path)], folder) as session:
        yield session


def given(args: Any) -> tuple[dict[str, Path], dict[str, tuple[int, ...]]]:
    """Files by role and shapes by input's name, as the command line has them."""
    parts = (word.split("=", 1) for word in args.input or ())
    inputs = {name: tuple(int(axis) for axis in shape.split(",")) for name, shape in parts}
    return {role: Path(path) for role, path in (word.split("=", 1) for word in args.file or ())}, inputs


def converted(args: Any) -> tuple[dict[str, Path], dict[str, tuple[int, ...]]]:
    """The same of a zoo model's verified artifact."""
    from edgeflow import api
    from edgeflow.workspace import Workspace

    artifact = api.convert(
        f"zoo:{args.zoo}", runtime=args.runtime, precision="fp32", output=None, workspace=Workspace.default()
    )
    inputs = {spec["runtime_name"]: tuple(spec["runtime_shape"]) for spec in artifact["inputs"]}
    return {role: Path(artifact["path"]) / name for role, name in artifact["files"].items()}, inputs


def job_params(args: Any, folder: Path, files: dict[str, Path]) -> dict[str, Any]:
    """The bench job of these files with the site of the given worker, all in the work folder."""
    (folder / "files").mkdir()

    def put(path: Path) -> str:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, folder / "files" / sha256)
        return sha256

    parts = dict(part.split("=", 1) for part in args.site)
    names = [f"{name}={put(Path(path))}" for name, path in parts.items()]
    unpack = [
        str(args.agent),
        "unpack",
        "--work",
        str(folder),
        "--runtime",
        args.runtime,
        "--version",
        "bench",
    ]
    told = subprocess.run([*unpack, "--target", "bench", *names], stdout=subprocess.PIPE, check=True)
    return {
        "kind": "bench", "backend": args.runtime, "site": json.loads(told.stdout)["site"],
        "files": {role: put(path) for role, path in files.items()}, "threads": args.threads,
        "plan": {
            "warmup_min_runs": 1, "warmup_min_ns": WARMUP_NS, "min_samples": args.samples, "min_ns": 0,
            "max_samples": args.samples, "budget_ns": 600 * 10**9, "ci_target": None, "sample_period_ms": 200,
        },
    }  # fmt: skip


def agent_median(session: AgentSession, job: dict[str, Any], tensors: list[Tensor]) -> float:
    started = session.call("job.start", job, tensors).result["job"]
    answer = session.call("job.wait", {"job": started}, timeout_s=600)
    session.call("job.ack", {"job": started})
    (samples,) = (tensor for tensor in answer.tensors if tensor.name == "samples_ns")
    return median(np.frombuffer(samples.data, np.int64).tolist())


def bare_median(args: Any, files: dict[str, Path], shapes: list[tuple[int, ...]]) -> float:
    roles = ("param", "bin") if args.runtime == "ncnn" else ("model",)
    command = [args.bare, *(files[role] for role in roles), args.threads, WARMUP_NS, args.samples]
    if args.runtime == "ncnn":
        command += [",".join(map(str, shape)) for shape in shapes]
    libraries = {str(Path(part.split("=", 1)[1]).parent) for part in args.site}
    told = subprocess.run(
        [str(word) for word in command],
        env={"LD_LIBRARY_PATH": ":".join(sorted(libraries))},
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise SystemExit(f"the bare loop exited {told.returncode}: {told.stderr[-400:]}")
    return median([int(line) for line in told.stdout.split()])


if __name__ == "__main__":
    sys.exit(main())
