"""`edgeflow convert` without its verification against the bare tool, same model: at most 1.15 of its time.

    python benchmarks/convert_time.py [--runtimes ncnn,mnn,tflite,openvino] [--models ppocr-det,…] [--pairs 7]

Both are whole commands, the start of their interpreters included, and take turns in one run. Ours converts
into an empty cache; what its phases say of verification (decoding samples, the reference, trying what
prepares the model, running the product) is subtracted, and shown beside. The bare tool is its own command
in the same environment: pnnx, MNN's converter, onnx2tf, OpenVINO's convert_model and save_model. ONNX Runtime
has none: its product is the model. A convert from the cache follows: at most 0.5 s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow import zoo
from edgeflow.config.home import edgeflow_home
from edgeflow.config.recipe import load_recipe
from edgeflow_converters import packages
from edgeflow_converters.environments import environment, isolated
from edgeflow_converters.phases import VERIFYING
from edgeflow_converters.tools import ensure_pnnx

LIMIT, CACHED_LIMIT_S = 1.15, 0.5
NOT_MAKING = ("samples", *VERIFYING)
MNN = (
    "import _tools; _tools.mnnconvert(['MNNConvert', '-f', 'ONNX', '--modelFile', 'model.onnx', "
    "'--MNNModel', 'model.mnn', '--bizCode', 'bare'])"
)
OPENVINO = (
    "import openvino; openvino.save_model(openvino.convert_model('model.onnx'), 'model.xml', "
    "compress_to_fp16=False)"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runtimes", default="ncnn,mnn,tflite,openvino")
    parser.add_argument("--models", default="ppocr-det,efficientnet-lite0,ppocr-cls")
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    home = edgeflow_home()
    over = []
    for model in options.models.split(","):
        zoo.pull(model, home)
        for runtime in options.runtimes.split(","):
            with tempfile.TemporaryDirectory() as name:
                try:
                    held = measured(home, Path(name), model, runtime, options.pairs)
                except subprocess.CalledProcessError as error:
                    # onnx2tf takes no model whose shapes it cannot work out, which preparing mends.
                    words = error.stderr.decode(errors="replace").splitlines() or ["it said nothing"]
                    print(f"{model} {runtime}: not measured, {error.cmd[0]} failed: {words[-1][:200]}")
                    continue
                if not held:
                    over.append(f"{model} {runtime}")
    if over:
        print(f"over a limit: {', '.join(over)}")
    return 1 if over else 0


def measured(home: Path, folder: Path, model: str, runtime: str, pairs: int) -> bool:
    """Measures and prints one cell. Whether it holds both limits."""
    own = folder / "home"
    own.mkdir()
    for shared in ("zoo", "tools"):
        (own / shared).symlink_to(home / shared)
    argv, extra, product = bare_tool(home, model, runtime)
    convert(own, model, runtime)  # fetches what is missing, and warms the disk's cache
    rows: list[tuple[float, float, float]] = []
    for number in range(pairs):
        work = folder / f"bare-{number}"
        work.mkdir()
        shutil.copyfile(zoo.pull(model, home).model_path, work / "model.onnx")
        shutil.rmtree(own / "cache")
        if number % 2:
            bare_s, ours = bare(argv, extra, work), convert(own, model, runtime)
        else:
            ours, bare_s = convert(own, model, runtime), bare(argv, extra, work)
        if not (work / product).is_file():
            raise SystemExit(f"the bare tool wrote no {product}")
        rows.append((*ours, bare_s))
    cached_s = statistics.median(sum(convert(own, model, runtime)) for _ in range(pairs))
    making_s, verifying_s, bare_s = (statistics.median(column) for column in zip(*rows, strict=True))
    ratios = sorted(mine / theirs for mine, _, theirs in rows)
    ratio = statistics.median(ratios)
    print(
        f"{model} {runtime}: ratio {ratio:.2f}, {pairs} pairs from {ratios[0]:.2f} to {ratios[-1]:.2f} "
        f"({covered(pairs):.0%} interval), limit {LIMIT}; making {making_s:.2f} s, bare {bare_s:.2f} s, "
        f"verification {verifying_s:.2f} s beside; cached {cached_s:.2f} s, limit {CACHED_LIMIT_S}; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return ratio <= LIMIT and cached_s <= CACHED_LIMIT_S


def covered(pairs: int) -> float:
    """How surely the median lies between the least and the largest of so many (order statistics)."""
    return 1.0 - 2.0 * 0.5**pairs


def convert(home: Path, model: str, runtime: str) -> tuple[float, float]:
    """(seconds of one convert without its verification, seconds of the verification)."""
    command = [sys.executable, "-m", "edgeflow.cli.main", "convert", f"zoo:{model}", "-r", runtime]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--json", "--quiet"],
        check=True,
        capture_output=True,
        env={**os.environ, "EDGEFLOW_HOME": str(home)},
    )
    wall_s = time.perf_counter() - began
    phases_ns = json.loads(done.stdout)["phases_ns"]
    verifying_s = sum(ns for name, ns in phases_ns.items() if name in NOT_MAKING) / 1e9
    return wall_s - verifying_s, verifying_s


def bare(argv: Sequence[str], extra: Mapping[str, str], work: Path) -> float:
    began = time.perf_counter()
    subprocess.run(argv, cwd=work, env={**os.environ, **extra}, check=True, capture_output=True)
    return time.perf_counter() - began


def bare_tool(home: Path, model: str, runtime: str) -> tuple[list[str], Mapping[str, str], str]:
    """The tool's own command in a folder with model.onnx, what it needs of the environment, what it makes."""
    tools = home / "tools"
    inputs = load_recipe(zoo.pull(model, home).recipe_path).inputs
    shapes = {name: ",".join(map(str, spec.shape)) for name, spec in inputs.items()}
    if runtime == "ncnn":
        told = ",".join(f"[{shape}]f32" for shape in shapes.values())
        pnnx = str(ensure_pnnx(tools, print))
        return [pnnx, "model.onnx", f"inputshape={told}", "fp16=0"], {}, "model.ncnn.bin"
    if runtime == "tflite":
        python = environment("onnx2tf", tools).ensure(print)
        fixed = ["-ois", *(f"{name}:{shape}" for name, shape in shapes.items())]
        words = isolated(python, "-m", "onnx2tf", "-i", "model.onnx", "-o", "out", "-n", *fixed)
        return words, {}, "out/model_float32.tflite"
    library, code, product = {
        "mnn": (packages.MNN, MNN, "model.mnn"),
        "openvino": (packages.OPENVINO, OPENVINO, "model.xml"),
    }[runtime]
    extra = packages.python_path([library.ensure(tools, print)])
    return [sys.executable, "-P", "-c", code], extra, product


if __name__ == "__main__":
    sys.exit(main())
