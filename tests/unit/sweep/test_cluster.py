"""Both ends of a sweep over lab hosts, without a cluster between them."""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeflow.config.devices import DeviceSpec, Fleet
from edgeflow.config.plan import SweepPlan, checked_executor
from edgeflow.deploy.request import DeployRequest
from edgeflow.errors import DeviceError, UsageError
from edgeflow.progress import Silent
from edgeflow.sweep.cluster.cluster import DONE, LOST, merged
from edgeflow.sweep.cluster.dask import devices_of, edition, host_and_port, resource
from edgeflow.sweep.cluster.hands import ClusterHands
from edgeflow.sweep.cluster.lab_host import LabHost
from edgeflow.sweep.cluster.orders import AskTemperature, Measure, Order, Piece
from edgeflow.sweep.cluster.received import Received
from edgeflow.sweep.crew import Stopped
from edgeflow.sweep.faults import Fault, FaultTold, classify
from edgeflow.workspace import Workspace


def board(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "transport": "ssh", "address": f"{name}.lab", **keys}


def said(host: str, *devices: dict[str, Any]) -> dict[str, Any]:
    return {"edition": edition(), "host": host, "devices": list(devices)}


class TestFleet:
    def test_devices_of_several_hosts_are_one_fleet(self) -> None:
        fleet = merged(
            {"tcp://1": said("x", board("rpi", tags=["pi"])), "tcp://2": said("y", board("nano"))},
            edition(), "dask://s:1",
        )  # fmt: skip
        assert list(fleet.devices) == ["nano", "rpi"]
        assert [spec.name for spec in fleet.select("tag:pi")] == ["rpi"]

    def test_a_board_that_two_hosts_reach_is_one_device(self) -> None:
        fleet = merged(
            {"tcp://1": said("x", board("rpi")), "tcp://2": said("y", board("rpi"))}, edition(), "dask://s:1"
        )
        assert list(fleet.devices) == ["rpi"]

    @pytest.mark.parametrize(
        ("here", "there"),
        [
            (board("rpi"), board("rpi", address="other.lab")),
            ({"name": "phone", "transport": "adb"}, {"name": "phone", "transport": "adb"}),
            ({"name": "box", "transport": "local"}, {"name": "box", "transport": "local"}),
        ],
    )
    def test_two_devices_of_one_name_are_refused(self, here: dict[str, Any], there: dict[str, Any]) -> None:
        with pytest.raises(UsageError, match="is a device of lab host x and another one of y"):
            merged({"tcp://1": said("x", here), "tcp://2": said("y", there)}, edition(), "dask://s:1")

    @pytest.mark.parametrize(
        "answer",
        [
            {**said("x"), "edition": "edgeflow 0.0.1 (agent 00000000)"},
            {},
            ModuleNotFoundError("No module named 'edgeflow.sweep.cluster'"),
        ],
    )
    def test_another_version_is_refused(self, answer: Any) -> None:
        with pytest.raises(DeviceError, match=r"lab host at tcp://1 runs .*, this is edgeflow") as refused:
            merged({"tcp://1": answer}, edition(), "dask://s:1")
        assert "same version" in refused.value.hint

    def test_a_resource_is_a_device(self) -> None:
        assert devices_of({resource("rpi"): 1, "GPU": 2}) == ["rpi"]


@pytest.mark.parametrize("name", ["threads", "dask://lab:8786", "dask://10.8.0.1:1", "dask://[::1]:8786"])
def test_an_executors_name(name: str) -> None:
    assert checked_executor(name) == name


@pytest.mark.parametrize(
    "name", ["", "dask", "dask://", "dask://lab", "tcp://lab:1", "dask://a b:1", "dask://a:1/x"]
)
def test_no_executors_name(name: str) -> None:
    with pytest.raises(ValueError, match="expected threads or dask://HOST:PORT"):
        checked_executor(name)


def test_an_address_of_ipv6_has_brackets() -> None:
    assert host_and_port("dask://[::1]:8786") == ("::1", 8786)


def test_who_runs_a_plan_does_not_make_it_another_plan(tmp_path: Path) -> None:
    words = {"models": ["m.onnx"], "base_dir": tmp_path}
    here = SweepPlan.model_validate(words)
    there = SweepPlan.model_validate({**words, "executor": "dask://lab:8786", "absent_patience_s": 5})
    assert here.digest == there.digest
    assert SweepPlan.from_json(there.to_json()).executor == "dask://lab:8786"


class TestReceived:
    def test_a_file_comes_in_pieces_and_is_then_there(self, tmp_path: Path) -> None:
        received = Received(tmp_path / "received")
        data = os.urandom(100)
        sha256 = hashlib.sha256(data).hexdigest()
        assert received.missing([sha256]) == [sha256]
        assert received.take(sha256, 0, 100, data[:60], sender="a")
        assert received.missing([sha256]) == [sha256], "half a file is no file"
        assert received.take(sha256, 60, 100, data[60:], sender="a")
        assert received.missing([sha256]) == []
        assert received.path(sha256).read_bytes() == data

    def test_a_piece_without_the_one_before_it_is_refused(self, tmp_path: Path) -> None:
        received = Received(tmp_path)
        assert not received.take("ab", 60, 100, b"x" * 40, sender="a")
        assert not list(tmp_path.iterdir())

    def test_what_is_not_what_it_should_be_is_thrown_away(self, tmp_path: Path) -> None:
        received = Received(tmp_path)
        assert not received.take("ab" * 32, 0, 3, b"bad", sender="a")
        assert not list(tmp_path.iterdir())

    def test_what_nobody_used_for_weeks_is_thrown_away(self, tmp_path: Path) -> None:
        for name in ("old", "new"):
            (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / "old", (1, 1))
        Received(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["new"]


class TestLabHost:
    @pytest.fixture
    def host(self, tmp_path: Path) -> LabHost:
        spec = DeviceSpec.model_validate({"name": "a", "transport": "ssh", "address": "127.0.0.1", "port": 1})
        host = LabHost([spec], Fleet({"a": spec}, None), Workspace(tmp_path, tmp_path), lambda text: None)
        host.setup(SimpleNamespace(address="tcp://1", log_event=lambda topic, message: None))
        return host

    def test_home_of_another_version_is_refused(self, host: LabHost) -> None:
        answer = host.work("key", "edgeflow 9 (agent 0)", b"")
        fault = Fault(**answer["fault"])
        assert (fault.kind, fault.retry, fault.blames_device) == ("transport", False, True)
        assert "home runs edgeflow 9 (agent 0)" in fault.message

    def test_what_it_cannot_read_or_does_not_have_is_refused(self, host: LabHost) -> None:
        assert "cannot read" in host.work("key", edition(), b"rubbish")["fault"]["message"]
        unknown = host.work("key", edition(), pickle.dumps(AskTemperature("b")))
        assert "has no device b" in unknown["fault"]["message"]

    def test_it_says_what_it_lacks(self, host: LabHost) -> None:
        order = Measure(DeployRequest(device="a"), "ab" * 32, ("cd" * 32,), "topic")
        answer = host.work("key", edition(), pickle.dumps(order))
        assert answer["missing"] == ["ab" * 32, "cd" * 32]
        assert answer["at"] == "tcp://1"

    def test_an_error_comes_home_as_a_fault(self, host: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
        """One of the device is one of the way to it, where the device does not answer."""

        def fails(order: Order, key: str, stop: threading.Event) -> dict[str, Any]:
            raise DeviceError("a: something is wrong")

        monkeypatch.setattr(host, "_carry_out", fails)
        answer = host.work("key", edition(), pickle.dumps(AskTemperature("a")))
        assert answer["fault"]["kind"] == "transport"
        assert classify(FaultTold(Fault(**answer["fault"]))) == Fault(**answer["fault"])

    def test_a_job_that_nobody_wants_stops(self, host: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
        def works(order: Order, key: str, stop: threading.Event) -> dict[str, Any]:
            host.transition(key, "executing", "released")
            assert stop.is_set()
            raise Stopped

        monkeypatch.setattr(host, "_carry_out", works)
        answer = host.work("key", edition(), pickle.dumps(AskTemperature("a")))
        assert answer["stopped"]


class FakeCluster:
    """Answers each order by a function; what is asked of it can be looked at."""

    topic, executor, lost = "topic", "dask://s:1", False

    def __init__(self, answer: Any) -> None:
        self.asked_for: list[Order] = []
        self.absent: float | None = None
        self.inboxes: list[queue.SimpleQueue[Any]] = []
        self._answer = answer

    def absent_since(self, device: str) -> float | None:
        del device
        return self.absent

    def wake(self) -> None:
        for inbox in self.inboxes:
            inbox.put("changed")

    @contextmanager
    def asked(self, device: str, order: Order) -> Iterator[Any]:
        del device
        self.asked_for.append(order)
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.inboxes.append(inbox)
        answer = self._answer(order, inbox)
        if isinstance(answer, dict):
            inbox.put(DONE)
        yield SimpleNamespace(result=lambda: answer), inbox


def hands_of(cluster: FakeCluster, folder: Path, patience_s: float = 60) -> ClusterHands:
    return ClusterHands(cluster, folder, patience_s=patience_s)  # type: ignore[arg-type]


class TestHands:
    def test_a_file_is_sent_once_whatever_number_of_devices_want_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "parcel"
        path.write_bytes(b"x" * 10)
        parcel = SimpleNamespace(sha256="ab", files={"ab": path})
        both = threading.Barrier(2)
        there = threading.Event()

        def answer(order: Order, inbox: Any) -> dict[str, Any]:
            if isinstance(order, Piece):
                there.set()
                return {"taken": True}
            if there.is_set():
                return {"host": "x", "document": {"artifact": {}}, "series": {}}
            both.wait(10)
            return {"host": "x", "at": "tcp://1", "missing": ["ab"]}

        cluster = FakeCluster(answer)
        hands = hands_of(cluster, tmp_path)
        monkeypatch.setattr(hands, "_parcel", lambda prepared: parcel)
        prepared: Any = SimpleNamespace(artifact=SimpleNamespace(path=tmp_path))
        found: list[Any] = []
        threads = [
            threading.Thread(
                target=lambda name=name: found.append(
                    hands.measure(DeployRequest(device=name), prepared, Silent())
                )
            )
            for name in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [measurement.document["lab_host"] for measurement in found] == ["x", "x"]
        assert len({measurement.document["result_id"] for measurement in found}) == 2
        assert sum(isinstance(order, Piece) for order in cluster.asked_for) == 1

    @pytest.mark.parametrize(
        ("news", "told"),
        [(LOST, "the scheduler at dask://s:1 is gone"), ("changed", "no lab host has offered it for 0 s")],
    )
    def test_a_device_out_of_reach_is_a_fault(self, tmp_path: Path, news: str, told: str) -> None:
        def answer(order: Order, inbox: Any) -> None:
            cluster.absent = 0.0
            inbox.put(news)

        cluster = FakeCluster(answer)
        hands = hands_of(cluster, tmp_path, patience_s=0)
        with pytest.raises(FaultTold, match=told) as lost:
            hands._answer("a", AskTemperature("a"), None)
        assert (lost.value.fault.kind, lost.value.fault.retry) == ("transport", False)

    def test_a_job_that_its_host_gave_up_is_tried_again(self, tmp_path: Path) -> None:
        hands = hands_of(FakeCluster(lambda order, inbox: {"host": "x", "stopped": True}), tmp_path)
        with pytest.raises(FaultTold, match="a: its lab host was stopped") as stopped:
            hands._answer("a", AskTemperature("a"), None)
        assert stopped.value.fault.retry

    def test_a_jobs_progress_comes_home(self, tmp_path: Path) -> None:
        def answer(order: Order, inbox: Any) -> dict[str, Any]:
            for news in ({"step": "verify"}, {"done": 1.0, "total": 2.0}, {"note": "a: mind"}):
                inbox.put({"key": "k", **news})
            return {"host": "x", "temperature_c": None}

        class Heard(Silent):
            def step(self, text: str) -> None:
                heard.append(text)

            def update(self, done: float, total: float | None) -> None:
                heard.append((done, total))

            def note(self, text: str) -> None:
                heard.append(text)

        heard: list[Any] = []
        hands_of(FakeCluster(answer), tmp_path)._answer("a", AskTemperature("a"), Heard())
        assert heard == ["verify", (1.0, 2.0), "a: mind"]

    def test_an_interrupt_ends_whoever_waits(self, tmp_path: Path) -> None:
        waits = threading.Event()
        cluster = FakeCluster(lambda order, inbox: waits.set())
        hands = hands_of(cluster, tmp_path)
        ended: list[str] = []

        def wait() -> None:
            try:
                hands._answer("a", AskTemperature("a"), None)
            except Stopped:
                ended.append("stopped")

        thread = threading.Thread(target=wait)
        thread.start()
        assert waits.wait(10)
        hands.interrupt()
        thread.join(10)
        assert ended == ["stopped"]
