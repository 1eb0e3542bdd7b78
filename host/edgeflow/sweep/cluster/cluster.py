"""Home's end of a Dask cluster: the fleet that its lab hosts offer, and which of it is there now."""

from __future__ import annotations

import ipaddress
import pickle
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgeflow.config.devices import DeviceSpec, Fleet
from edgeflow.errors import DeviceError, UsageError
from edgeflow.sweep.cluster.dask import (
    devices_of,
    distributed,
    edition,
    encrypted,
    host_and_port,
    resource,
    scheduler_address,
)

if TYPE_CHECKING:
    from edgeflow.sweep.cluster.orders import Order

_CONNECT_S = 10.0
_CLOSE_S = 5.0
_LOOK_S = 5.0  # how often the fleet is looked at where Dask tells no news
_WORKERS = ("add-worker", "remove-worker")

LOST, CHANGED, DONE = "lost", "changed", "done"
"""What a caller is told beside progress: the cluster is gone; some device came or went; its task is done."""

Inbox = queue.SimpleQueue[Any]


class Cluster:
    """A connection to a scheduler. Its methods may be called by any thread."""

    def __init__(self, executor: str, client: Any) -> None:
        self.executor = executor
        self.topic = str(client.id)  # the scheduler forgets a client's own topic some time after it has gone
        self._client = client
        self._scheduler_id = str(client.scheduler_info(n_workers=0)["id"])
        self._inboxes: dict[str, Inbox] = {}
        self._absent: dict[str, float] = {}
        self._offered: frozenset[str] = frozenset()
        self._lost = False
        self._guard = threading.Lock()
        self._news: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._number = 0
        self._edition = edition()
        self.fleet = self._ask_fleet()

    @property
    def remark(self) -> str:
        """What the user should know of the way to the scheduler; empty where it is safe."""
        host, _ = host_and_port(self.executor)
        if encrypted() or _is_loopback(host):
            return ""
        return (
            f"{self.executor}: neither encrypted nor authenticated; whoever reaches this port runs programs "
            "on every lab host (docs/scaling.md)"
        )

    def absent_since(self, device: str) -> float | None:
        """Since when (time.monotonic) no lab host offers the device; None where one does."""
        with self._guard:
            return None if device in self._offered else self._absent.setdefault(device, time.monotonic())

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone, with all that it was asked for."""
        return self._lost or self._client.status != "running"

    @contextmanager
    def asked(self, device: str, order: Order) -> Iterator[tuple[Any, Inbox]]:
        """The order as a task for whichever worker offers the device, and where news of it arrive.

        At the end of the block Dask is told that it is not wanted any more: a job that still runs stops.
        """
        from edgeflow.sweep.cluster.lab_host import work

        with self._guard:
            self._number += 1
            key = f"edgeflow-{device}-{self._number}-{self.topic}"
            inbox = self._inboxes[key] = queue.SimpleQueue()
        future = None
        try:
            future = self._client.submit(
                work, self._edition, pickle.dumps(order, protocol=5),
                key=key, pure=False, resources={resource(device): 1},
            )  # fmt: skip
            future.add_done_callback(lambda _: inbox.put(DONE))
            yield future, inbox
        finally:
            with self._guard:
                del self._inboxes[key]
            if future is not None:
                future.release()

    def wake(self) -> None:
        """Has every caller look whether it is to go on."""
        self._tell_all(CHANGED)

    def _ask_fleet(self) -> Fleet:
        """Raises DeviceError for a lab host of another version, UsageError for two devices of one name."""
        from edgeflow.sweep.cluster.lab_host import told

        addresses = self._look()
        answers = self._client.run(told, workers=addresses, on_error="return") if addresses else {}
        return merged(answers, self._edition, self.executor)

    def _look(self) -> list[str]:
        """Notes who is there now; the addresses of workers that offer devices."""
        workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        offers = {address: devices_of(worker["resources"]) for address, worker in workers.items()}
        now = frozenset(device for devices in offers.values() for device in devices)
        with self._guard:
            for device in self._offered - now:
                self._absent[device] = time.monotonic()
            for device in now:
                self._absent.pop(device, None)
            changed, self._offered = now != self._offered, now
        if changed:
            self._tell_all(CHANGED)
        return [address for address, devices in offers.items() if devices]

    def _watch(self) -> None:
        """Looks at the fleet whenever Dask tells of a worker, until the scheduler is lost."""
        while True:
            try:
                if self._news.get(timeout=_LOOK_S):
                    return
            except queue.Empty:
                pass
            try:
                self._look()
                there = self._client.status == "running"
                there = there and self._client.scheduler_info(n_workers=0)["id"] == self._scheduler_id
            except Exception:  # whatever a broken connection makes Dask raise
                there = False
            if not there:
                self._lost = True
                self._tell_all(LOST)
                return

    def _tell_all(self, what: str) -> None:
        with self._guard:
            for inbox in self._inboxes.values():
                inbox.put(what)

    def _progress(self, event: tuple[float, Any]) -> None:
        _, values = event
        if not isinstance(values, dict):
            return  # the scheduler's own words
        with self._guard:
            inbox = self._inboxes.get(values.get("key", ""))
        if inbox is not None:
            inbox.put(values)

    def _worker_news(self, event: tuple[float, Any]) -> None:
        if isinstance(event[1], dict) and event[1].get("action") in _WORKERS:
            self._news.put(False)

    @contextmanager
    def _watched(self) -> Iterator[Cluster]:
        self._client.subscribe_topic(self.topic, self._progress)
        self._client.subscribe_topic("all", self._worker_news)
        watcher = threading.Thread(target=self._watch, name="lab hosts", daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            self._news.put(True)
            if not self.lost:
                for topic in (self.topic, "all"):
                    self._client.unsubscribe_topic(topic)


@contextmanager
def connected(executor: str) -> Iterator[Cluster]:
    """The cluster of `dask://HOST:PORT`. Raises ToolMissingError, DeviceError where no scheduler answers."""
    dask = distributed()
    address = scheduler_address(executor)
    try:
        # Dask itself would try a port that refuses again and again.
        socket.create_connection(host_and_port(executor), timeout=_CONNECT_S).close()
        client = dask.Client(address, timeout=_CONNECT_S, set_as_default=False, name="edgeflow")
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{executor}: no Dask scheduler answers ({' '.join(str(error).split())[:120]})",
            hint="dask scheduler --host ADDRESS --port 8786 starts one; docs/scaling.md says how",
        ) from error
    try:
        with Cluster(executor, client)._watched() as cluster:
            yield cluster
    finally:
        client.close(timeout=_CLOSE_S)


def merged(answers: Mapping[str, Any], version: str, executor: str) -> Fleet:
    """One fleet of what workers (address -> what `told` said, or an exception) offer.

    Raises DeviceError for a worker of another version; UsageError for one name that two devices have.
    """
    found: dict[str, tuple[DeviceSpec, str]] = {}
    for address, answer in answers.items():
        theirs = answer.get("edition", "no edgeflow worker") if isinstance(answer, dict) else str(answer)
        if theirs != version:
            raise DeviceError(
                f"{executor}: the lab host at {address} runs {' '.join(theirs.split())}, this is {version}",
                hint="install the same version on both, and start `edgeflow worker` there again",
            )
        for words in answer["devices"]:
            spec, host = DeviceSpec.model_validate(words), str(answer["host"])
            if spec.name in found and not _same((spec, host), found[spec.name]):
                raise UsageError(
                    f"{executor}: '{spec.name}' is a device of lab host {found[spec.name][1]} and another "
                    f"one of {host}",
                    hint="give one of them another name in its devices.yaml",
                )
            found[spec.name] = (spec, host)
    return Fleet({name: spec for name, (spec, _) in sorted(found.items())}, None)


def _same(one: tuple[DeviceSpec, str], other: tuple[DeviceSpec, str]) -> bool:
    """Whether two offers are of one device, which two hosts reach (or one host, that has two workers)."""
    return one[0] == other[0] and (one[1] == other[1] or one[0].address is not None)


def _is_loopback(host: str) -> bool:
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address)).is_loopback for address in addresses)
