"""What needs a whole machine: reboot and power loss in the middle of things, and a battery of known draw."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeflow.devices.transports import open_transport
from edgeflow.errors import DeviceError
from edgeflow.lab import lab as labs
from edgeflow.progress import Silent

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = [pytest.mark.lab, pytest.mark.network, pytest.mark.timeout(600)]

NAME = "lab-arm64-vm"
BATTERY = "/sys/module/lab_battery/parameters"
IDLE_UA, BUSY_UA, VOLTAGE_V = -500_000, -1_250_000, 4.0

# On the device: the battery gives more current as long as the agent has a worker. Ends with its input.
FOLLOW_THE_WORKER = f"""
import glob, select, sys
def works():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if b"\\0worker\\0" in open(path, "rb").read():
                return True
        except OSError:
            pass
    return False
said = None
while True:
    now = {BUSY_UA} if works() else {IDLE_UA}
    if now != said:
        open("{BATTERY}/current_ua", "w").write(str(now))
        said = now
        print(now, flush=True)
    if select.select([sys.stdin], [], [], 0.05)[0]:
        break
"""


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[str]:
    with lab.machine(NAME) as name:
        yield name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small: the device runs a hundred times slower than its host."""
    weight = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    shape = [1, 3, 16, 16]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 16, 16])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)
    return path


def on_device(lab: Lab, script: str) -> str:
    transport = open_transport(lab.spec(NAME))
    try:
        return transport.run(["sh", "-c", script], timeout_s=60).require_success(script).text
    finally:
        transport.close()


def deploy(lab: Lab, model: Path) -> dict[str, Any]:
    done = lab.edgeflow("deploy", model, "-d", NAME, "-r", "ncnn", "--budget-s", "3", "--json")
    assert done.code == 0, done.err
    return done.document


def result_ids(lab: Lab) -> set[str]:
    return {result["result_id"] for result in lab.edgeflow("results", "list", "--json").document["results"]}


def await_daemon(lab: Lab) -> None:
    """Until the service's daemon is back, which systemd starts some seconds after sshd."""
    deadline = time.monotonic() + 120
    while not lab.edgeflow("agent", "status", "-d", NAME, "--json").document["running"]:
        assert time.monotonic() < deadline, "the service did not come back"


@contextmanager
def battery_that_follows_the_worker(lab: Lab) -> Iterator[None]:
    transport = open_transport(lab.spec(NAME))
    try:
        transport.run(["sh", "-c", f"echo 20000 > {BATTERY}/ripple_ua"], timeout_s=20)
        channel = transport.open_channel(["python3", "-c", FOLLOW_THE_WORKER])
        assert channel.read(64, timeout_s=60)  # it says so once it plays
        yield
        channel.write(b"\n", timeout_s=20)
        while channel.read(4096, timeout_s=20):
            pass
        assert channel.close() == 0
    finally:
        transport.close()


def test_energy_is_what_the_battery_gave_for_the_inferences(lab: Lab, machine: str, model: Path) -> None:
    with battery_that_follows_the_worker(lab):
        result = deploy(lab, model)
    energy = result["energy"]
    assert energy["available"], energy["reason"]
    assert (energy["source"], energy["covers"]) == ("power_supply:battery", "the whole device")
    known_mw = (IDLE_UA - BUSY_UA) / 1000 * VOLTAGE_V
    known_mj = known_mw * energy["window_s"] / energy["inferences"]
    # The uncertainty is of 95 %: one run in twenty may lie outside it, but not outside of twice as much.
    assert 0 < energy["uncertainty_mj"] < 0.05 * known_mj
    assert abs(energy["mj_per_inference"] - known_mj) <= 2 * energy["uncertainty_mj"]
    assert energy["idle_mw"] == pytest.approx(-IDLE_UA / 1000 * VOLTAGE_V, rel=0.05)
    assert result["device"]["facts"]["emulated"]
    assert result["validity"]["state"] == "invalid"


def test_no_energy_while_the_battery_is_charged(lab: Lab, machine: str, model: Path) -> None:
    on_device(lab, f"echo Charging > {BATTERY}/status")
    try:
        done = lab.edgeflow("deploy", model, "-d", NAME, "-r", "ncnn", "--budget-s", "1")
    finally:
        on_device(lab, f"echo Discharging > {BATTERY}/status")
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if line.startswith("energy")]
    assert "not measurable: power_supply:battery is Charging" in line


def test_a_reboot_in_the_middle_of_a_job_loses_the_job_and_nothing_else(
    lab: Lab, machine: str, model: Path
) -> None:
    started = lab.edgeflow("agent", "start", "-d", NAME, "--service", "--json")
    assert started.code == 0, started.err
    before = result_ids(lab)
    words = ("deploy", model, "-d", NAME, "-r", "ncnn", "--mode", "sustained")
    with lab.edgeflow_started(*words) as process:
        assert process.stderr is not None
        assert any("measure tiny on" in line for line in process.stderr)
        labs.reboot(NAME, lab.home, Silent())
        _, rest = process.communicate(timeout=150)
        assert process.returncode == 7, rest
    (error,) = [line for line in rest.splitlines() if line.startswith("error: ")]
    # By what it found when it was back: no daemon yet, a new one, or one that read its predecessor's records.
    ways = ("its daemon ended", "its daemon was started anew", "the agent died while job")
    assert error.startswith(tuple(f"error: {NAME}: {way}" for way in ways)), error
    assert result_ids(lab) == before
    await_daemon(lab)
    assert deploy(lab, model)["agent"]["carrier"] == "daemon"


def test_a_power_cut_in_the_middle_of_a_push_leaves_whole_files_or_none(
    lab: Lab, machine: str, tmp_path: Path
) -> None:
    files = {"before": os.urandom(1 << 20), "cut": os.urandom(8 << 20)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    folder = PurePosixPath("/home/edge/pushed")

    def off(done: int, total: int) -> None:
        if done >= total // 2 and lab.guest(NAME).running:
            labs.power_cut(NAME, lab.home)

    transport = open_transport(lab.spec(NAME))
    try:
        transport.push(tmp_path / "before", folder / "before")
        with pytest.raises(DeviceError, match=NAME) as caught:
            transport.push(tmp_path / "cut", folder / "cut", progress=off)
        assert caught.value.hint
    finally:
        transport.close()
    labs.up([NAME], lab.home, Silent())
    transport = open_transport(lab.spec(NAME))
    try:
        for name, data in files.items():
            whole = hashlib.sha256(data).hexdigest()
            path = folder / name
            said = transport.run(["sha256sum", str(path)], timeout_s=60).text
            assert transport.file_size(path) is None or said.split()[0] == whole
            transport.push(tmp_path / name, path)
            assert transport.run(["sha256sum", str(path)], timeout_s=60).text.split()[0] == whole
    finally:
        transport.close()


def test_the_power_goes_right_after_a_service_was_started_and_comes_back(lab: Lab, machine: str) -> None:
    assert lab.edgeflow("agent", "uninstall", "-d", NAME, "--force").code == 0
    on_device(lab, "echo kept > /home/edge/note && sync /home/edge/note")
    address = lab.guest(NAME).address
    started = lab.edgeflow("agent", "start", "-d", NAME, "--service", "--json")
    assert started.document["service"], started.err
    assert "linger" not in started.err
    done = lab.edgeflow("lab", "power-cut", NAME)
    assert done.code == 0, done.err
    assert f"{NAME}       off" in done.out
    assert lab.edgeflow("lab", "reboot", NAME).error_line == f"error: {NAME} does not run"
    assert lab.edgeflow("devices", "check", NAME).code == 3
    assert lab.edgeflow("lab", "up", NAME).code == 0
    assert lab.guest(NAME).address == address
    assert on_device(lab, "cat /home/edge/note") == "kept\n"
    await_daemon(lab)
    refused = lab.edgeflow("lab", "power-cut", "lab-arm64")
    assert refused.code == 2
    assert "is no virtual machine" in refused.error_line
