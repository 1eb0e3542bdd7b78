"""What the agent adds to a timing: its median against a bare loop over the same runtime in one process.

Pairs are interleaved and alternate in order, so that drift of the machine hits both alike. Prints the median
paired ratio with the upper bound of its 95 % interval.

    python benchmarks/harness_overhead.py --zoo ppocr-det --runtime ncnn
    python benchmarks/harness_overhead.py --model m.onnx
    python benchmarks/harness_overhead.py --param m.param --bin m.bin --shape 3,224,224

The bound is meant for models of 5 ms and more; of shorter ones the process decides more than the harness.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow_agent.bundle import build_agent
from edgeflow_agent.channel import PipeStream
from edgeflow_agent.stats import median, median_ci95
from edgeflow_agent.wire import Frame, FrameType, Tensor, tensors_of, with_tensors

WARMUP_NS = 300_000_000  # both ways: the agent's process is fresh each time, the bare loop's is not


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zoo", metavar="NAME", help="a model of the zoo, converted for --runtime")
    parser.add_argument("--runtime", choices=("ncnn", "onnxruntime"), default="ncnn")
    parser.add_argument("--model", type=Path, help="an .onnx file, for onnxruntime")
    parser.add_argument("--param", type=Path, help="with --bin and --shape: for ncnn")
    parser.add_argument("--bin", type=Path)
    parser.add_argument(
        "--shape", help="ncnn input shape, comma-separated; for .onnx: replaces open axes by 1"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=30)
    args = parser.parse_args()
    if args.zoo:
        convert(args)
    if args.model is None and None in (args.param, args.bin, args.shape):
        parser.error("give --model, or --param, --bin and --shape")
    backend, files, inputs, run = onnx_case(args) if args.model else ncnn_case(args)
    with tempfile.TemporaryDirectory() as folder:
        ratios = measure(Path(folder), backend, files, inputs, run, args)
    low, high = median_ci95(ratios)
    print(f"{backend}: {len(ratios)} pairs, median ratio agent/bare {median(ratios):.4f}, ", end="")
    print(f"95 % interval [{low:.4f}, {high:.4f}]; upper bound {'within' if high <= 1.02 else 'OVER'} 1.02")
    return 0 if high <= 1.02 else 1


def convert(args: Any) -> None:
    """Fills in the files and the shape of a zoo model's verified artifact."""
    from edgeflow import api
    from edgeflow.workspace import Workspace

    artifact = api.convert(
        f"zoo:{args.zoo}", runtime=args.runtime, precision="fp32", output=None, workspace=Workspace.default()
    )
    folder, files = Path(artifact["path"]), artifact["files"]
    if args.runtime == "onnxruntime":
        args.model = folder / files["model"]
    else:
        args.param, args.bin = folder / files["param"], folder / files["bin"]
        args.shape = ",".join(map(str, artifact["inputs"][0]["runtime_shape"]))


def onnx_case(args: Any) -> tuple[str, dict[str, Path], list[Tensor], Callable[[], Any]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(args.model), options, providers=["CPUExecutionProvider"])
    given = [int(axis) for axis in args.shape.split(",")] if args.shape else None
    draw = np.random.default_rng(0)
    feeds = {}
    for value in session.get_inputs():
        shape = given or [axis if isinstance(axis, int) else 1 for axis in value.shape]
        feeds[value.name] = draw.random(shape, dtype=np.float32)
    names = [value.name for value in session.get_outputs()]
    tensors = [Tensor(name, "float32", array.shape, array.tobytes()) for name, array in feeds.items()]
    return "onnxruntime", {"model": args.model}, tensors, lambda: session.run(names, feeds)


def ncnn_case(args: Any) -> tuple[str, dict[str, Path], list[Tensor], Callable[[], Any]]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = args.threads
    assert net.load_param(str(args.param)) == 0 and net.load_model(str(args.bin)) == 0
    shape = tuple(int(axis) for axis in args.shape.split(","))
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    mat = ncnn.Mat(array).clone()
    (name,) = net.input_names()
    outputs = list(net.output_names())

    def run() -> list[Any]:
        extractor = net.create_extractor()
        extractor.input(name, mat)
        return [extractor.extract(output)[1] for output in outputs]

    files = {"param": args.param, "bin": args.bin}
    return "ncnn", files, [Tensor(name, "float32", shape, array.tobytes())], run


def measure(
    folder: Path,
    backend: str,
    files: dict[str, Path],
    inputs: list[Tensor],
    run: Callable[[], Any],
    args: Any,
) -> list[float]:
    built = build_agent(folder / "agent.pyz")
    pushed = {}
    (folder / "files").mkdir()
    for role, path in files.items():
        pushed[role] = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, folder / "files" / pushed[role])
    argv = [sys.executable, str(built.path), "core", "--work", str(folder)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdin is not None and process.stdout is not None
        stream = PipeStream(process.stdout.fileno(), process.stdin.fileno())
        stream.read_frame()
        attach = {"id": 1, "method": "attach", "params": {"token": "bench", "host": "bench"}}
        ask(
            stream,
            Frame(FrameType.REQUEST, attach),
        )
        params = {
            "kind": "bench", "backend": backend, "files": pushed, "threads": args.threads,
            "plan": {
                "warmup_min_runs": 1, "warmup_min_ns": WARMUP_NS, "min_samples": args.samples, "min_ns": 0,
                "max_samples": args.samples, "budget_ns": 600 * 10**9, "ci_target": None,
                "sample_period_ms": 200,
            },
        }  # fmt: skip
        start = with_tensors(FrameType.REQUEST, {"id": 2, "method": "job.start", "params": params}, inputs)
        ratios = []
        for pair in range(args.pairs):
            order = (agent_median, bare_median) if pair % 2 else (bare_median, agent_median)
            found = {way: way(stream, start, run, args.samples) for way in order}
            ratios.append(found[agent_median] / found[bare_median])
            agent_ms, bare_ms = found[agent_median] / 1e6, found[bare_median] / 1e6
            print(f"pair {pair + 1}: agent {agent_ms:.3f} ms, bare {bare_ms:.3f} ms", file=sys.stderr)
        return ratios
    finally:
        process.kill()
        process.wait()


def agent_median(stream: PipeStream, start: Frame, run: Callable[[], Any], samples: int) -> float:
    job = ask(stream, start).meta["result"]["job"]
    wait = {"id": 3, "method": "job.wait", "params": {"job": job}}
    answer = ask(stream, Frame(FrameType.REQUEST, wait))
    found = {tensor.name: np.frombuffer(tensor.data, np.int64) for tensor in tensors_of(answer)}
    return median(found["samples_ns"].tolist())


def bare_median(stream: PipeStream, start: Frame, run: Callable[[], Any], samples: int) -> float:
    warm_ns = time.perf_counter_ns() + WARMUP_NS
    while time.perf_counter_ns() < warm_ns:
        run()
    durations = []
    for _ in range(samples):
        begin = time.perf_counter_ns()
        run()
        durations.append(time.perf_counter_ns() - begin)
    return median(durations)


def ask(stream: PipeStream, request: Frame) -> Frame:
    stream.write_frame(request)
    while True:
        frame = stream.read_frame()
        if frame is None or frame.type is FrameType.ERROR:
            raise SystemExit(f"the agent failed: {None if frame is None else frame.meta}")
        if frame.type is FrameType.RESPONSE:
            return frame


if __name__ == "__main__":
    sys.exit(main())
