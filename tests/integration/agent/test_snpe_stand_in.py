"""The SNPE worker against a stand-in of Qualcomm's library (tests/snpe_stand_in.c): nothing of it is proved
with Qualcomm's own, which is the user's and is not here."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

import native_agent
import native_workers
from edgeflow_agent.wire import Tensor

if TYPE_CHECKING:
    from conftest import Agent

pytestmark = [
    pytest.mark.parametrize("agent", ["native"], indirect=True),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc for the stand-in"),
    pytest.mark.timeout(300),
]

STAND_IN = native_agent.CHECKOUT / "tests" / "snpe_stand_in.c"
X = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
Y = np.array([0.5, 1.5, 4], np.float32)
MODEL = b"STAND-IN model"


def given(x: NDArray[Any] = X, y: NDArray[Any] = Y) -> list[Tensor]:
    return [Tensor(n, str(a.dtype), a.shape, a.tobytes(), 0) for n, a in (("x", x), ("y", y))]


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out as the SDK is: the library of x86-64 Linux, and a file for the DSP."""
    root = tmp_path_factory.mktemp("sdk") / "qairt-9.8.7"
    folder, hexagon = root / "lib/x86_64-linux-clang", root / "lib/hexagon-v73/unsigned"
    folder.mkdir(parents=True)
    hexagon.mkdir(parents=True)
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-Wl,-soname,libSNPE.so", "-o", folder / "libSNPE.so", STAND_IN],
        check=True,
    )
    (folder / "libQnnCpu.so").write_bytes(b"not SNPE's")
    (hexagon / "libSnpeHtpV73Skel.so").write_bytes(b"for the DSP")
    return root


@pytest.fixture
def key(agent: Agent, work: Path, put: Callable[[bytes], str], sdk: Path) -> str:
    """The site of the worker, as SNPE_ROOT gives it."""
    try:
        files = native_workers.site("snpe", runtime_dirs=[f"snpe={sdk}"])
    except native_agent.NoToolsError as error:
        if native_agent.required():
            raise
        pytest.skip(f"the native worker is not built here: {error}")
    assert set(files) == {"worker", "libSNPE.so", "libSnpeHtpV73Skel.so"}
    named = [f"{name}={put(path.read_bytes())}" for name, path in files.items()]
    about = ["--runtime", "snpe", "--version", "9.8.7", "--target", "host"]
    done = subprocess.run(agent.argv("unpack", work, *about, *named), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: str = json.loads(done.stdout)["site"]
    return found


@pytest.fixture
def params(put: Callable[[bytes], str]) -> dict[str, Any]:
    return {"backend": "snpe", "files": {"model": put(MODEL)}}


def test_the_stand_in_computes_through_the_worker(
    key: str, connect: Any, params: dict[str, Any], work: Path
) -> None:
    client = connect()
    assert client.greeting["backends"]["snpe"] == {"available": True, "version": "9.8.7", "site": key}
    told = client.job("infer", given(), **params, options={"perf_profile": "burst", "runtime": "cpu"})
    assert (told["inputs"], told["outputs"]) == (["x", "y"], ["double", "sum"])
    assert told["runtime"] == {
        "name": "snpe", "version": "0.0.0-stand-in", "compute_dtype": "fp32",
        "options": {"runtime": "cpu", "perf_profile": "burst", "num_threads": None},
    }  # fmt: skip
    found = {t.name: np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in client.tensors()}
    np.testing.assert_array_equal(found["double"], 2 * X)
    np.testing.assert_array_equal(found["sum"], [6])


def test_errors_have_the_words_of_the_stand_in(
    key: str, connect: Any, params: dict[str, Any], put: Any, said: Any, work: Path
) -> None:
    client = connect()
    attempts: list[tuple[str, str, list[Tensor], dict[str, Any]]] = [
        ("load_failed", "SNPE cannot open the model: error_code=100; the container is no archive", given(),
         {"files": {"model": put(b"rubbish")}}),
        ("load_failed", "SNPE cannot prepare the model for dsp: error_code=500; the DSP is asleep", given(),
         {"options": {"runtime": "dsp"}}),
        ("unsupported_accelerator", "SNPE has no runtime gpu on this device",
         given(), {"options": {"runtime": "gpu"}}),
        ("load_failed", "perf_profile: error_code=400; no such profile", given(),
         {"options": {"perf_profile": "extreme_power_saver"}}),
        ("run_failed", "SNPE cannot run the model: error_code=700; an input is negative",
         given(-1 - X), {}),
        ("bad_request", "snpe has no option nobody; known: perf_profile runtime",
         given(), {"options": {"nobody": 1}}),
        ("bad_request", "runtime is one of cpu gpu dsp, not \"npu\"",
         given(), {"options": {"runtime": "npu"}}),
        ("bad_request", "perf_profile is one of balanced", given(), {"options": {"perf_profile": 5}}),
        ("bad_input", "input x is float32[1, 2, 3], got float32[6]", given(X.reshape(6)), {}),
        ("bad_input", "input y is float32[3], got int32[3]", given(y=Y.astype(np.int32)), {}),
    ]  # fmt: skip
    for code, words, tensors, change in attempts:
        with pytest.raises(said) as caught:
            client.job("infer", tensors, **{**params, **change})
        assert (caught.value.code, words in caught.value.message) == (code, True), caught.value.message
    with pytest.raises(said) as caught:
        client.job("infer", given(), **params, options={"runtime": "dsp", "perf_profile": "burst"})
    log = "".join(caught.value.detail["log"])
    assert "stand-in: profile 5" in log
    assert f"stand-in: adsp {work}/site/{key};/vendor/dsp/cdsp;" in log  # where the DSP finds its half
