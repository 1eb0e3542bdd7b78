"""Paddle Lite by both agents, on a small model of which numpy knows the answers (tests/paddle_models.py)."""

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

import edgeflow_agent
import native_agent
import native_workers
import paddle_models
from edgeflow_agent.wire import Tensor

if TYPE_CHECKING:
    from conftest import Agent

pytestmark = [pytest.mark.network, pytest.mark.timeout(600)]
native = pytest.mark.parametrize("agent", ["native"], indirect=True)

DRAW = np.random.default_rng(7)
IMAGE = DRAW.standard_normal((1, 3, 8, 8)).astype(np.float32)
IDS = np.array([[1, 7, 0, 9]])
NB = (paddle_models.FOLDER / "small.x86.nb").read_bytes()
ARM_NB = (paddle_models.FOLDER / "small.arm.nb").read_bytes()
LIBRARY = "liblite_pybind.so"


def given(image: NDArray[Any] = IMAGE, ids: NDArray[Any] = IDS, number: int = 0) -> list[Tensor]:
    return [
        Tensor(name, str(array.dtype), array.shape, array.tobytes(), number)
        for name, array in (("image", image), ("ids", ids))
    ]


def arrays(tensors: list[Tensor]) -> dict[tuple[str, int | None], NDArray[Any]]:
    return {(t.name, t.set): np.frombuffer(t.data, t.dtype).reshape(t.shape) for t in tensors}


def need(make: Callable[..., Any], **how: Any) -> Any:
    try:
        return make(**how)
    except native_agent.NoToolsError as error:
        # A Python of that age need not be there; a compiler must where it is asked for.
        if native_agent.required() and make is not native_workers.paddle_python:
            raise
        pytest.skip(f"not built here: {error}")


@pytest.fixture
def unpack(agent: Agent, work: Path) -> Callable[..., str]:
    """Makes the native site in the work folder, `without` a file of it; gives its key."""

    def make(files: dict[str, Path] | None = None, *, without: str = "", with_libc: bool = False) -> str:
        if files is None:
            files = need(lambda: native_workers.site("paddlelite", with_libc=with_libc))
        (work / "files").mkdir(parents=True, exist_ok=True)
        named = []
        for name, path in files.items():
            sha256 = native_workers.sha256(path)
            if name != without:
                (work / "files" / sha256).exists() or shutil.copy(path, work / "files" / sha256)
                named.append(f"{name}={sha256}")
        about = ["--runtime", "paddlelite", "--version", "2.13rc0", "--target", "host"]
        done = subprocess.run(agent.argv("unpack", work, *about, *named), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        key: str = json.loads(done.stdout)["site"]
        return key

    return make


@pytest.fixture
def python(connect: Callable[..., Any], work: Path) -> Callable[..., Any]:
    """A client of the Python agent in the same work folder, in a Python that has paddlelite."""

    def open_client(*path: Path) -> Any:
        interpreter = need(native_workers.paddle_python)
        folders = [*map(str, path), str(Path(edgeflow_agent.__file__).parent.parent)]
        argv = ["env", "PYTHONPATH=" + ":".join(folders), str(interpreter), "-m", "edgeflow_agent", "core"]
        return connect(argv=[*argv, "--work", str(work)])

    return open_client


@pytest.fixture
def params(put: Callable[[bytes], str]) -> dict[str, Any]:
    return {"backend": "paddlelite", "files": {"model": put(NB)}, "threads": 2}


def check(client: Any, params: dict[str, Any]) -> Any:
    """Two sets with different ids, one of them of another size: three outputs of each, as numpy has them."""
    sets = [(IMAGE, IDS), (-2 * IMAGE, np.array([[3, 3, 3, 8], [0, 1, 2, 4]]))]
    tensors = [tensor for number, pair in enumerate(sets) for tensor in given(*pair, number)]
    told = client.job("infer", tensors, **params)
    assert (told["inputs"], told["outputs"]) == (["image", "ids"], ["scores", "best", "embedded"])
    found = arrays(client.tensors())
    for number, pair in enumerate(sets):
        wanted = paddle_models.answers(*pair)
        np.testing.assert_allclose(found["scores", number], wanted["scores"], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found["best", number], wanted["best"])
        np.testing.assert_array_equal(found["embedded", number], wanted["embedded"])
        assert [found[name, number].dtype for name in wanted] == [np.float32, np.int64, np.float32]
    return told


@native
def test_the_native_worker_answers_as_numpy_does(unpack: Any, connect: Any, params: dict[str, Any]) -> None:
    key = unpack()
    client = connect()
    greeting = client.greeting["backends"]["paddlelite"]
    assert greeting == {"available": True, "version": native_workers.version("paddlelite"), "site": key}
    assert check(client, params)["runtime"] == {
        "name": "paddlelite", "version": "v2.13-rc", "compute_dtype": "fp32",
        "options": {"power_mode": "LITE_POWER_NO_BIND", "num_threads": 2},
    }  # fmt: skip


@native
def test_both_agents_compute_and_tell_the_same(
    unpack: Any, connect: Any, python: Any, params: dict[str, Any]
) -> None:
    unpack()
    peer, client = python(), connect()
    assert peer.greeting["backends"]["paddlelite"]["available"] is True
    expected, told = check(peer, params), check(client, params)
    assert told["runtime"] == expected["runtime"]
    ours, theirs = arrays(client.tensors()), arrays(peer.tensors())
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values)


def attempts(put: Callable[[bytes], str]) -> list[tuple[str, str, list[Tensor], dict[str, Any]]]:
    """What is refused: code, words, and what is asked for."""
    return [
        ("load_failed", "optimised for ARM, but this device computes on x86",
         given(), {"files": put(ARM_NB)}),
        ("load_failed", "no .nb model of Paddle Lite's opt",
         given(), {"files": put(b"not a model of anybody")}),
        ("load_failed", "no .nb model of Paddle Lite's opt: it is cut", given(), {"files": put(NB[:3000])}),
        ("load_failed", "its format is number 1", given(), {"files": put(b"\1" + NB[1:])}),
        ("bad_request", "paddlelite has no option nobody; known: power_mode",
         given(), {"options": {"nobody": 1}}),
        ("bad_request", "power_mode is one of LITE_POWER_HIGH",
         given(), {"options": {"power_mode": "HIGH"}}),
        (
            "bad_request", "does not take power_mode LITE_POWER_HIGH on this device", given(),
            {"options": {"power_mode": "LITE_POWER_HIGH"}},
        ),
        ("bad_input", "input ids is int64[-1, 4], got int64[1, 5]",
         given(ids=np.zeros((1, 5), np.int64)), {}),
        ("bad_input", "input ids is int64[-1, 4], got float32[1, 4]",
         given(ids=np.zeros((1, 4), np.float32)), {}),
        ("bad_input", "inputs are", given()[:1], {}),
    ]  # fmt: skip


def refusals(client: Any, params: dict[str, Any], put: Any, said: Any) -> list[tuple[str, str, str]]:
    found = []
    for code, words, tensors, change in attempts(put):
        more = {"files": {"model": change["files"]}} if "files" in change else change
        with pytest.raises(said) as caught:
            client.job("infer", tensors, **{**params, **more})
        assert caught.value.code == code and words in caught.value.message, (words, caught.value.message)
        found.append((code, caught.value.phase, caught.value.message))
    return found


@native
def test_the_native_worker_refuses_by_name(
    unpack: Any, connect: Any, params: dict[str, Any], put: Any, said: Any
) -> None:
    unpack()
    assert len(refusals(connect(), params, put, said)) == 10


@native
def test_both_agents_refuse_alike(
    unpack: Any, connect: Any, python: Any, params: dict[str, Any], put: Any, said: Any
) -> None:
    unpack()
    theirs = refusals(python(), params, put, said)
    for ours, each in zip(refusals(connect(), params, put, said), theirs, strict=True):
        assert ours[:2] == each[:2]
        if "option" not in ours[2]:  # values are quoted as each language writes them
            assert ours[2] == each[2]


@native
def test_an_error_of_paddle_lite_is_a_crash_with_its_words(
    unpack: Any, connect: Any, params: dict[str, Any], said: Any
) -> None:
    unpack()
    client = connect()
    with pytest.raises(said) as caught:
        client.job("infer", given(ids=np.array([[0, 1, 2, 99]])), **params)
    assert caught.value.code == "worker_crashed" and caught.value.detail["signal"] in ("SIGABRT", "SIGSEGV")
    assert caught.value.phase == "first" and "lookup_table" in "".join(caught.value.detail["log"])
    check(client, params)  # the core serves on


@native
def test_the_native_worker_is_measured(unpack: Any, connect: Any, params: dict[str, Any]) -> None:
    unpack()
    client = connect()
    memory = client.job("memory", given(), **params, plan={"runs": 2})
    assert memory["runtime_bytes"] > 1 << 20  # the library is loaded while that is measured
    assert 0 < memory["model_bytes"] < memory["peak_rss_bytes"]
    plan = {
        "warmup_min_runs": 2, "warmup_min_ns": 0, "min_samples": 10, "min_ns": 0, "max_samples": 20,
        "budget_ns": 10**10, "ci_target": None, "sample_period_ms": 100,
    }  # fmt: skip
    client.job("bench", given(), **params, plan=plan)
    assert len(arrays(client.tensors())["samples_ns", None]) == 20


@native
def test_a_worker_without_its_library_says_so(
    unpack: Any, connect: Any, params: dict[str, Any], said: Any
) -> None:
    unpack(without=LIBRARY)
    with pytest.raises(said, match=rf"{LIBRARY}: cannot open") as caught:
        connect().job("infer", given(), **params)
    assert caught.value.code == "backend_missing"


@native
def test_it_runs_on_the_c_library_that_it_brings(unpack: Any, connect: Any, params: dict[str, Any]) -> None:
    unpack(with_libc=True)
    check(connect(), params)


@native
def test_a_release_archive_of_the_users_is_built_and_runs(
    unpack: Any, connect: Any, params: dict[str, Any], tmp_path: Path
) -> None:
    """Laid out as those of the project are; the library in it is the wheel's, the headers are ours."""
    ours = need(lambda: native_workers.site("paddlelite"))
    folder = tmp_path / "inference_lite_lib.x86.linux"
    for name in ("lib", "include"):
        (folder / "cxx" / name).mkdir(parents=True)
    shutil.copy(ours[LIBRARY], folder / "cxx/lib/libpaddle_light_api_shared.so")
    shutil.copy(ours["libiomp5.so"], folder / "cxx/lib")
    header = native_agent.SOURCES / "worker/backends/paddlelite_api.h"
    shutil.copy(header, folder / "cxx/include/paddle_api.h")
    archive = shutil.make_archive(str(tmp_path / "lite"), "gztar", tmp_path, folder.name)
    sites = [
        need(lambda place=place: native_workers.site("paddlelite", runtime_dirs=[f"paddlelite={place}"]))
        for place in (folder, archive, f"file://{archive}")
    ]
    assert all(set(site) == {"worker", "libedgeflow-paddlelite.so", LIBRARY, "libiomp5.so"} for site in sites)
    # MKL is loaded by its name when it is first needed, so nothing tells that it is.
    unpack({**sites[1], "libmklml_intel.so": ours["libmklml_intel.so"]})
    check(connect(), params)


@native
def test_numpy_2_is_refused_by_name(python: Any, params: dict[str, Any], said: Any, tmp_path: Path) -> None:
    """A stand-in numpy that only tells a version."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").write_text("__version__ = '2.1.0'\n")
    with pytest.raises(said, match=r"numpy 2\.1\.0.*install numpy<2") as caught:
        python(tmp_path).job("infer", given(), **params)
    assert caught.value.code == "backend_missing"


@native
def test_opt_still_writes_the_models_of_the_tests(tmp_path: Path, agent: Agent) -> None:
    interpreter = need(native_workers.paddle_python)
    subprocess.run([interpreter, paddle_models.__file__, tmp_path], check=True, capture_output=True)
    for path in paddle_models.FOLDER.glob("*.nb"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
