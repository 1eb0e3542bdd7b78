"""A lab host: a Dask worker with devices. `work` is the task that home sends; LabHost is what does it.

Nothing here decides: home has the plan, the retries and the store. A job is stopped when home wants it no
more, which Dask tells: home was interrupted, was killed, or lost its link.
"""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from edgeflow.sweep.cluster.dask import edition
from edgeflow.sweep.cluster.orders import AskTemperature, LetGo, Measure, Order, Piece, unpack
from edgeflow.sweep.cluster.received import Received
from edgeflow.sweep.crew import Stopped
from edgeflow.sweep.faults import Fault, classify
from edgeflow.sweep.hands import LocalHands

if TYPE_CHECKING:
    from edgeflow.config.devices import DeviceSpec, Fleet
    from edgeflow.deploy.held import Prepared
    from edgeflow.workspace import Workspace

PLUGIN = "edgeflow"
_IDLE_S = 60.0  # after which a device is let go of, should home never say so
_UPDATE_S = 1.0  # how often a job's progress goes home
_MOST_PARCELS = 16  # in memory
_ONLY_AT_HOME = {"user", "key", "known_hosts", "port"}  # of a device: how it is reached from its own host


def work(version: str, order: bytes) -> dict[str, Any]:
    """A task of Dask: one order, carried out by the LabHost of the worker that runs it."""
    worker = get_worker()
    host = worker.plugins.get(PLUGIN)
    if not isinstance(host, LabHost):
        return _refusal(
            f"{socket.gethostname()}: this Dask worker has no devices", "start it with `edgeflow worker`"
        )
    return host.work(worker.get_current_task(), version, order)


def told(dask_worker: Any) -> dict[str, Any]:
    """What a worker says of itself when home asks (Client.run)."""
    host = dask_worker.plugins.get(PLUGIN)
    return host.told() if isinstance(host, LabHost) else {}


class LabHost(WorkerPlugin):  # type: ignore[misc]
    """The devices of one lab host. `say` is told what it does, for whoever watches its terminal."""

    name = PLUGIN

    def __init__(
        self, devices: list[DeviceSpec], fleet: Fleet, workspace: Workspace, say: Callable[[str], None]
    ) -> None:
        self.devices = devices
        self.jobs = 0
        self._say = say
        self._host = socket.gethostname()
        self._edition = edition()
        self._received = Received(workspace.home / "received")
        self._hands = LocalHands(fleet, workspace)
        self._locks = {spec.name: threading.Lock() for spec in devices}
        self._timers: dict[str, threading.Timer] = {}
        self._parcels: OrderedDict[str, Prepared] = OrderedDict()
        self._running: dict[Any, threading.Event] = {}
        self._unwanted: set[Any] = set()
        self._guard = threading.Lock()
        self._worker: Any = None
        self._closing = False

    def setup(self, worker: Any) -> None:
        self._worker = worker

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Dask tells: a task that runs is not wanted any more."""
        del kwargs
        if start in ("executing", "long-running") and finish in ("cancelled", "released", "forgotten"):
            with self._guard:
                self._unwanted.add(key)
                if key in self._running:
                    self._running[key].set()

    def teardown(self, worker: Any) -> None:
        """Dask tells: this worker ends, for its scheduler is gone. Nobody waits for its jobs."""
        del worker
        with self._guard:
            for stop in self._running.values():
                stop.set()

    def stop(self) -> None:
        """Every job ends at its next word, and no other begins."""
        self._closing = True
        self.teardown(self._worker)

    def close(self) -> None:
        """Lets go of every device, once no job runs."""
        for timer in list(self._timers.values()):
            timer.cancel()
        for device, lock in self._locks.items():
            with lock:
                self._forget(device)

    def told(self) -> dict[str, Any]:
        return {
            "edition": self._edition,
            "host": self._host,
            "devices": [
                spec.model_dump(mode="json", exclude=_ONLY_AT_HOME, exclude_unset=True)
                for spec in self.devices
            ],
        }

    def work(self, key: Any, version: str, order: bytes) -> dict[str, Any]:
        """Carries out one order. Whatever goes wrong is in the answer."""
        if version != self._edition:
            return _refusal(
                f"lab host {self._host} runs {self._edition}, home runs {version}",
                "install the same version on both, and start `edgeflow worker` there again",
            )
        try:
            parsed: Order = pickle.loads(order)
        except Exception as error:  # whatever another Python or numpy makes of it
            return _refusal(
                f"lab host {self._host} cannot read what home sent: {type(error).__name__}: {error}",
                "install the same Python and numpy on both",
            )
        device = parsed.device
        if device not in self._locks:
            return _refusal(f"lab host {self._host} has no device {device}", "look at its devices.yaml")
        with self._known(key) as stop, self._locks[device]:
            timer = self._timers.pop(device, None)
            if timer is not None:
                timer.cancel()
            try:
                return {"host": self._host, "at": self._worker.address, **self._carry_out(parsed, key, stop)}
            except Stopped:
                return {"host": self._host, "stopped": True}
            except Exception as error:
                return {"host": self._host, "fault": asdict(self._fault(device, error))}
            finally:
                self._let_go_later(device)

    def _carry_out(self, order: Order, key: Any, stop: threading.Event) -> dict[str, Any]:
        match order:
            case Piece():
                args = (order.sha256, order.offset, order.total, order.data)
                return {"taken": self._received.take(*args, sender=order.device)}
            case AskTemperature():
                return {"temperature_c": self._hands.temperature_c(order.device)}
            case LetGo():
                self._forget(order.device)
                return {}
            case Measure():
                if missing := self._received.missing((order.parcel, *order.files)):
                    return {"missing": missing}
                return self._measure(order, key, stop)

    def _measure(self, order: Measure, key: Any, stop: threading.Event) -> dict[str, Any]:
        prepared = self._prepared(order.parcel)
        what = f"{order.device}: {prepared.model.name} {order.request.runtime} {order.request.precision}"
        self._say(what)
        progress = _Told(self._worker, order.topic, key, stop)
        try:
            document, series = self._hands.measure(order.request, prepared, progress)
        except BaseException as error:
            self._say(f"{what}: {'not wanted any more' if isinstance(error, Stopped) else error}")
            raise
        self.jobs += 1
        self._say(f"{what}: measured")
        return {"document": document, "series": {name: list(values) for name, values in series.items()}}

    def _prepared(self, parcel: str) -> Prepared:
        with self._guard:
            if parcel in self._parcels:
                self._parcels.move_to_end(parcel)
                return self._parcels[parcel]
        prepared = unpack(self._received.path(parcel), self._received.folder)
        with self._guard:
            self._parcels[parcel] = prepared
            while len(self._parcels) > _MOST_PARCELS:
                self._parcels.popitem(last=False)
        return prepared

    def _fault(self, device: str, error: Exception) -> Fault:
        """As home would classify it, had the job run there; what is this host's own says so."""
        self._forget(device)
        fault = classify(error)
        if fault.kind == "device" and not fault.retry:
            fault = classify(error, reached=self._hands.reached(device))
        if fault.kind in ("tool", "host"):
            fault = replace(fault, message=f"lab host {self._host}: {fault.message}")
        return fault

    @contextmanager
    def _known(self, key: Any) -> Iterator[threading.Event]:
        """The order as one that Dask may call off."""
        stop = threading.Event()
        with self._guard:
            self._running[key] = stop
            if self._closing or key in self._unwanted:
                stop.set()
        try:
            yield stop
        finally:
            with self._guard:
                del self._running[key]
                self._unwanted.discard(key)

    def _let_go_later(self, device: str) -> None:
        def let_go() -> None:
            if self._locks[device].acquire(blocking=False):  # else a job has begun
                try:
                    self._forget(device)
                finally:
                    self._locks[device].release()

        timer = self._timers[device] = threading.Timer(_IDLE_S, let_go)
        timer.daemon = True
        timer.start()

    def _forget(self, device: str) -> None:
        self._hands.forget(device)


class _Told:
    """A job's progress as events of Dask, and where the job hears that it is to stop."""

    def __init__(self, worker: Any, topic: str, key: Any, stop: threading.Event) -> None:
        self._worker = worker
        self._topic = topic
        self._key = key
        self._stop = stop
        self._last = 0.0

    def step(self, text: str) -> None:
        self._check()
        self._tell(step=text)

    def update(self, done: float, total: float | None) -> None:
        self._check()
        now = time.monotonic()
        if now - self._last >= _UPDATE_S:
            self._last = now
            self._tell(done=done, total=total)

    def note(self, text: str) -> None:
        self._tell(note=text)

    def _tell(self, **values: Any) -> None:
        self._worker.log_event(self._topic, {"key": self._key, **values})

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _refusal(message: str, hint: str) -> dict[str, Any]:
    """A fault of the way to the device: its jobs wait for a resume."""
    fault = Fault("transport", message, hint, retry=False, blames_device=True)
    return {"host": socket.gethostname(), "fault": asdict(fault)}
