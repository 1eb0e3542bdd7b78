"""A worker that was built with fewer layers is never used silently, nor for a model that it cannot load."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeflow.deploy import held
from edgeflow.deploy.held import HeldDevice
from edgeflow.deploy.preflight import check_layers
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import DeviceError
from edgeflow.progress import Silent
from edgeflow.toolchain import libraries
from edgeflow.toolchain.products import Products, left_out
from edgeflow.workspace import Workspace

ASKED = DeployRequest(device="phone", runtime="ncnn")
TARGET = "android-arm64-static"


def artifact(folder: Path, *kinds: str, weights: str = "fp32") -> Any:
    lines = [f"{kind} layer{index} 0 1 blob{index}" for index, kind in enumerate(kinds)]
    (folder / "model.param").write_text("\n".join(["7767517", f"{len(kinds)} {len(kinds)}", *lines]) + "\n")
    return SimpleNamespace(path=folder, runtime="ncnn", files={"param": "model.param"}, weights_dtype=weights)


def test_a_rare_layer_is_refused_by_name_with_the_command_that_cures(tmp_path: Path) -> None:
    rare = artifact(tmp_path, "Input", "GRU", "Convolution", "GridSample")
    with pytest.raises(DeviceError, match=r"^phone: .*common layers only, without GRU, GridSample,") as told:
        check_layers(ASKED, rare, "common", TARGET)
    assert f"edgeflow agent build --target {TARGET} --runtime ncnn" in str(told.value.hint)
    check_layers(ASKED, rare, "all", TARGET)
    check_layers(ASKED, artifact(tmp_path, "Input", "Convolution", "LSTM"), "common", TARGET)


def test_a_sweep_refuses_it_too_before_anything_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec: Any = SimpleNamespace(name="phone", runtimes=())
    device = HeldDevice(spec, Workspace(tmp_path, tmp_path))
    native = SimpleNamespace(layers=lambda runtime: "common", target=SimpleNamespace(name=TARGET))
    connection = SimpleNamespace(native=native, session=None)  # bringing anything would need a session
    monkeypatch.setattr(held, "open_device", lambda *words: SimpleNamespace(facts=None, close=lambda: None))
    monkeypatch.setattr(held.preflight, "check_device", lambda *words, **more: None)
    monkeypatch.setattr(device, "_connect", lambda *words: (connection, None))
    prepared: Any = SimpleNamespace(artifact=artifact(tmp_path, "GRU"), model=SimpleNamespace(size_bytes=1))
    with pytest.raises(DeviceError, match="without GRU"), device.placed(ASKED, prepared, Silent()):
        pass


def test_so_is_what_needs_int8(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="without int8 weights"):
        check_layers(ASKED, artifact(tmp_path, "Input", weights="int8"), "common", TARGET)


def test_what_is_left_out_is_what_the_build_switches_off() -> None:
    """One list for both: ncnn's options and this check."""
    compiler: Any = SimpleNamespace(kind="gcc")
    target: Any = SimpleNamespace(name="host", machine="x86_64", system="linux", code_name="host")
    options = libraries.RECIPES["ncnn"].definitions("1", target, compiler, "common")
    off = {name.removeprefix("WITH_LAYER_") for name in options if name.startswith("WITH_LAYER_")}
    assert off == left_out() and "gru" in off


class Built:
    """A Builder that has built these."""

    def __init__(self, *layers: str, own: str = "all") -> None:
        self._layers, self._own = layers, own

    def find_worker(self, runtime: str) -> str | None:
        return f"{runtime} {self._own}" if self._own in self._layers else None


@pytest.mark.parametrize(
    ("built", "worker", "layers"),
    [(("all", "common"), "ncnn all", "all"), (("common",), "ncnn common", "common")],
)
def test_the_worker_with_all_layers_is_preferred_and_the_other_is_told(
    built: tuple[str, ...], worker: str, layers: str
) -> None:
    products = Products(SimpleNamespace(name=TARGET), None, Built(*built))  # type: ignore[arg-type]
    products.__dict__["_trimmed"] = Built(*built, own="common")
    assert products.worker("ncnn") == worker
    assert products.layers("ncnn") == layers
    assert products.layers("onnxruntime") is None
