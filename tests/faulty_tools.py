"""Stand-ins in the place of every conversion tool: each does what FAULT says, in a tools folder of its own.

A stand-in is called as its tool is, by the code that calls its tool. Where a fault needs a sound product to
damage, the tool itself makes it once a session, into the folder GOOD. Adding a tool is a line in TOOLS.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from edgeflow_converters import packages
from edgeflow_converters.environments import environment
from edgeflow_converters.tools import pnnx_path

FAULTS = ("aborts", "exits", "hangs", "lies", "writes an empty file", "writes half a file",
          "leaves unknown layers", "fills the disk")  # fmt: skip

MISBEHAVE = '''
import os, shutil, signal, struct, subprocess, sys

def misbehave(outs, make, unknown):
    """Does as FAULT says in the place of a tool that writes `outs` by `make()`; `unknown` turns their bytes
    into those of a model with a layer that the runtime does not have."""
    fault = os.environ["FAULT"]
    if fault == "aborts":
        os.abort()
    if fault == "exits":
        print("cannot do it", flush=True)
        sys.exit(3)
    if fault == "hangs":
        sleeper = [sys.executable, "-IS", "-c", "import signal; signal.pause()"]
        child = subprocess.Popen(sleeper)
        with open(os.environ["PIDS"], "a") as pids:
            pids.write(f"{os.getpid()} {child.pid}\\n")
        signal.pause()
    if fault == "lies":
        return
    for out in outs:
        os.makedirs(os.path.dirname(out) or ".", exist_ok=True)
    if fault == "fills the disk":
        with open(outs[0], "wb") as out:
            while True:
                out.write(bytes(1 << 16))
    if fault == "writes an empty file":
        for out in outs:
            open(out, "wb").close()
        return
    good = [os.path.join(os.environ["GOOD"], os.path.basename(out)) for out in outs]
    if not all(map(os.path.exists, good)):
        make()
        for out, kept in zip(outs, good):
            shutil.copyfile(out, kept)
    for out, kept in zip(outs, good):
        with open(kept, "rb") as file:
            data = file.read()
        with open(out, "wb") as file:
            file.write(unknown(data) if fault == "leaves unknown layers" else data[: len(data) // 2])

def flatbuffer(data):
    """A .tflite with one operator code, whose custom name is ONNX_DET."""
    b = bytearray(68)
    struct.pack_into("<I4s", b, 0, 16, b"TFL3")
    struct.pack_into("<HHHH", b, 8, 8, 12, 0, 8)
    struct.pack_into("<iII", b, 16, 8, 0, 4)
    struct.pack_into("<II", b, 28, 1, 12)
    struct.pack_into("<HHHH", b, 36, 8, 8, 0, 4)
    struct.pack_into("<iI", b, 44, 8, 4)
    struct.pack_into("<I8s", b, 52, 8, b"ONNX_DET")
    return bytes(b)
'''

PNNX = """
def make():
    subprocess.run([REAL, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL)
misbehave(["model.param", "model.bin"], make, lambda data: data.replace(b"Convolution ", b"Frobnicate  "))
print("pnnx is done")
"""

# Its converter refuses what it does not know, in words, and returns True.
MNN_TOOLS = """
import importlib.util
def real():
    [path] = [os.path.join(REAL, name) for name in os.listdir(REAL) if name.startswith("_tools.")]
    spec = importlib.util.spec_from_file_location("_tools", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
def refuse(words):
    print("These Op Not Support: ONNX::Frobnicate |")
    print(words)
    return True
def mnnconvert(argv):
    out = argv[argv.index("--MNNModel") + 1]
    if TOOL == "mnnquant":
        open(out, "wb").close()
    elif os.environ["FAULT"] == "leaves unknown layers":
        return refuse("Converted Failed!")
    else:
        misbehave([out], lambda: real().mnnconvert(argv), None)
    print("Converted Success!")
    return True
def mnnquant(argv):
    if os.environ["FAULT"] == "leaves unknown layers":
        return refuse("quantize failed")
    def make():
        single = argv[2] + ".fp32"
        real().mnnconvert(["x", "-f", "ONNX", "--modelFile", os.environ["MODEL"], "--MNNModel", single,
                           "--bizCode", "x"])
        real().mnnquant([argv[0], single, *argv[2:]])
    misbehave([argv[2]], make, None)
    print("Quantize model done!")
    return True
"""

ONNX2TF = """
def make():
    subprocess.run([REAL, *sys.argv[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
single = "out/model_float32.tflite"
if TOOL == "onnx2tf":
    misbehave([single], make, flatbuffer)
else:
    os.mkdir("out")
    kept = os.path.join(os.environ["GOOD"], "single.tflite")
    if not os.path.exists(kept):
        make()
        shutil.copyfile(single, kept)
    shutil.copyfile(kept, single)
print("Float32 tflite output complete!")
"""

QUANTIZER = """
import json
spec_path, result = sys.argv[-2:]
spec = json.load(open(spec_path))
def make():
    subprocess.run([REAL, *sys.argv[1:]], check=True)
misbehave([spec["out"]], make, flatbuffer)
open(result, "w").write(json.dumps({"ok": {"quantized": 1, "total": 1, "floating": {}}}))
"""

# The package takes itself out of the way of the real one, and changes how that saves.
OPENVINO = """
sys.path.insert(0, REAL)
del sys.modules["openvino"]
import openvino
save = openvino.save_model
def save_model(model, out, **options):
    if any(RUNNER in word for word in sys.orig_argv):
        weights = out.removesuffix("xml") + "bin"
        misbehave([out, weights], lambda: save(model, out, **options),
                  lambda data: data.replace(b'type="Convolution"', b'type="Frobnicate"'))
    else:
        save(model, out, **options)
openvino.save_model = save_model
"""

NNCF = """
from types import SimpleNamespace
errors = SimpleNamespace(InternalError=KeyError, ValidationError=KeyError)
CompressWeightsMode = {"INT8_SYM": 0, "INT8_ASYM": 1}
def compress_weights(model, mode):
    return model
"""

# Found by every Python that inherits PYTHONPATH; only ONNX Runtime's quantizer gets another module by it.
SITE = """
if any("onnxruntime_quantize" in word for word in sys.orig_argv):
    from types import ModuleType, SimpleNamespace
    fake = ModuleType("onnxruntime.quantization")
    fake.QuantType = SimpleNamespace(QUInt8=0)
    def quantize_dynamic(source, out, **options):
        misbehave([out], lambda: shutil.copyfile(source, out), lambda data: data.replace(b"Conv", b"Frob"))
    fake.quantize_dynamic = quantize_dynamic
    sys.modules["onnxruntime.quantization"] = fake
"""


@dataclass(frozen=True)
class Tool:
    """Where a tool comes in, and how messages may call it (or the runtime that reads its product)."""

    runtime: str
    precision: str
    names: tuple[str, ...]
    put: Callable[[Path, Path], Mapping[str, str]]
    """(the private tools folder, the real one) -> what the environment needs; makes the stand-in."""
    unknown: str  # what tells of the layer that nobody knows


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -IS\n{MISBEHAVE}{text}")
    path.chmod(0o755)


def _pnnx(tools: Path, real: Path) -> Mapping[str, str]:
    _script(pnnx_path(tools), f"REAL = {str(pnnx_path(real))!r}\n{PNNX}")
    return {}


def _mnn(tool: str) -> Callable[[Path, Path], Mapping[str, str]]:
    def put(tools: Path, real: Path) -> Mapping[str, str]:
        theirs, ours = packages.MNN.folder(real), packages.MNN.folder(tools)
        ours.mkdir(parents=True)
        for path in theirs.iterdir():
            if not path.name.startswith("_tools."):
                (ours / path.name).symlink_to(path)
        text = f"{MISBEHAVE}REAL, TOOL = {str(theirs)!r}, {tool!r}\n{MNN_TOOLS}"
        (ours / "_tools.py").write_text(text)
        return {}

    return put


def _tflite(tool: str) -> Callable[[Path, Path], Mapping[str, str]]:
    def put(tools: Path, real: Path) -> Mapping[str, str]:
        for name, text in (("onnx2tf", ONNX2TF), ("ai-edge-quantizer", QUANTIZER)):
            theirs = environment(name, real).python
            _script(environment(name, tools).python, f"REAL, TOOL = {str(theirs)!r}, {tool!r}\n{text}")
        return {}

    return put


def _openvino(runner: str) -> Callable[[Path, Path], Mapping[str, str]]:
    def put(tools: Path, real: Path) -> Mapping[str, str]:
        package = packages.OPENVINO.folder(tools) / "openvino"
        package.mkdir(parents=True)
        told = f"REAL, RUNNER = {str(packages.OPENVINO.folder(real))!r}, {runner!r}\n"
        (package / "__init__.py").write_text(f"{MISBEHAVE}{told}{OPENVINO}")
        nncf = packages.NNCF.folder(tools) / "nncf"
        nncf.mkdir(parents=True)
        (nncf / "__init__.py").write_text(NNCF)
        return {}

    return put


def _onnxruntime(tools: Path, real: Path) -> Mapping[str, str]:
    del real
    tools.mkdir(parents=True)
    (tools / "sitecustomize.py").write_text(f"{MISBEHAVE}{SITE}")
    return {"PYTHONPATH": str(tools)}


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {
        "pnnx": Tool("ncnn", "fp32", ("pnnx", "ncnn"), _pnnx, "Frobnicate"),
        "mnnconvert": Tool("mnn", "fp32", ("mnnconvert", "MNN"), _mnn("mnnconvert"), "Frobnicate"),
        "mnnquant": Tool("mnn", "int8", ("mnnquant", "MNN"), _mnn("mnnquant"), "Frobnicate"),
        "onnx2tf": Tool("tflite", "fp32", ("onnx2tf", "LiteRT"), _tflite("onnx2tf"), "ONNX_DET"),
        "ai-edge-quantizer": Tool(
            "tflite", "fp16", ("ai-edge-quantizer", "LiteRT"), _tflite("ai-edge-quantizer"), ""
        ),
        "openvino": Tool("openvino", "fp32", ("OpenVINO",), _openvino("openvino_convert"), "Frobnicate"),
        "nncf": Tool("openvino", "int8-dynamic", ("NNCF", "OpenVINO"), _openvino("openvino_quantize"),
                     "Frobnicate"),
        "onnxruntime": Tool("onnxruntime", "int8-dynamic", ("ONNX Runtime",), _onnxruntime, "Frob"),
    }
)  # fmt: skip
