"""Hands of a sweep whose devices hang on lab hosts (hands.Hands): each job is a task of Dask."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.store import new_result_id
from edgeflow.sweep.cluster.cluster import DONE, LOST
from edgeflow.sweep.cluster.orders import AskTemperature, LetGo, Measure, Parcel, Piece, pack
from edgeflow.sweep.crew import Stopped
from edgeflow.sweep.faults import Fault, FaultTold
from edgeflow.sweep.hands import Measurement

if TYPE_CHECKING:
    from edgeflow.deploy.held import Prepared
    from edgeflow.deploy.request import DeployRequest
    from edgeflow.progress import Progress
    from edgeflow.sweep.cluster.cluster import Cluster, Inbox
    from edgeflow.sweep.cluster.orders import Order

_PIECE_BYTES = 4 << 20  # Dask warns of tasks above 10 MB
_MOST_SENDINGS = 3  # a lab host that loses what it was sent is no use
_TEMPERATURE_S = 30.0
_GOODBYE_S = 5.0


class ClusterHands:
    """Measures on devices of lab hosts. A lab host that dies gives its job back: Dask hands it to whichever
    worker offers the device next; where none does for `patience_s`, the device is lost.
    """

    def __init__(self, cluster: Cluster, folder: Path, *, patience_s: float) -> None:
        """`folder` is for what is sent, and is the caller's to remove."""
        self._cluster = cluster
        self._folder = folder
        self._patience_s = patience_s
        self._parcels: dict[int, tuple[Prepared, Parcel]] = {}
        self._packing = threading.Lock()
        self._sending: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._sent: dict[tuple[str, str], float] = {}  # (lab host, file) -> when
        self._held: set[str] = set()
        self._over = threading.Event()

    def measure(self, request: DeployRequest, prepared: Prepared, progress: Progress) -> Measurement:
        """Raises FaultTold with what the lab host made of an error, or with what became of it."""
        device, parcel = request.device, self._parcel(prepared)
        files = tuple(name for name in parcel.files if name != parcel.sha256)
        order = Measure(request, parcel.sha256, files, self._cluster.topic)
        for _ in range(1 + _MOST_SENDINGS):
            self._held.add(device)
            asked_at = time.monotonic()
            answer = self._answer(device, order, progress)
            if "missing" not in answer:
                return _as_of_home(answer, prepared)
            for sha256 in answer["missing"]:
                self._send(device, parcel, sha256, answer["at"], asked_at, progress)
        raise FaultTold(
            Fault("host", f"lab host {answer['host']} does not keep what it is sent", "look at its disk")
        )

    def reached(self, device: str) -> bool:
        """The lab host found out; its answer told it."""
        del device
        return True

    def temperature_c(self, device: str) -> float | None:
        try:
            answer = self._answer(device, AskTemperature(device), None, limit_s=_TEMPERATURE_S)
        except FaultTold:
            return None
        found: float | None = answer["temperature_c"]
        return found

    def forget(self, device: str) -> None:
        """Waits for a job there that was called off, so that the device is free for others afterwards."""
        if device not in self._held:
            return
        self._held.discard(device)
        with suppress(FaultTold):  # then its lab host lets go of it by itself
            self._answer(device, LetGo(device), None, limit_s=_GOODBYE_S, last=True)

    def interrupt(self) -> None:
        self._over.set()
        self._cluster.wake()

    def _parcel(self, prepared: Prepared) -> Parcel:
        with self._packing:
            known = self._parcels.get(id(prepared))
            if known is None:
                known = self._parcels[id(prepared)] = (prepared, pack(prepared, self._folder))
            return known[1]

    def _send(
        self, device: str, parcel: Parcel, sha256: str, address: str, asked_at: float, progress: Progress
    ) -> None:
        """Once to a lab host, however many of its devices find at the same time that it lacks the file."""
        to = (address, sha256)
        with self._packing:
            sending = self._sending[to]
        with sending:
            if self._sent.get(to, 0.0) >= asked_at:
                return  # another device's thread has sent it meanwhile
            progress.step(f"send {sha256[:12]} to the lab host of {device}")
            self._send_file(device, sha256, parcel.files[sha256], progress)
            self._sent[to] = time.monotonic()

    def _send_file(self, device: str, sha256: str, path: Path, progress: Progress) -> None:
        total, offset = path.stat().st_size, 0
        with path.open("rb") as file:
            while True:
                data = file.read(_PIECE_BYTES)
                answer = self._answer(device, Piece(device, sha256, offset, total, data), progress)
                offset += len(data)
                if not answer["taken"] or offset >= total:
                    return  # what was not taken is asked for again

    def _answer(
        self,
        device: str,
        order: Order,
        progress: Progress | None,
        *,
        limit_s: float | None = None,
        last: bool = False,
    ) -> dict[str, Any]:
        """What the device's lab host answers. Raises FaultTold, and Stopped unless this is the last word."""
        if self._cluster.lost:
            raise FaultTold(self._lost(device))
        ends_at = None if limit_s is None else time.monotonic() + limit_s
        try:
            with self._cluster.asked(device, order) as (future, inbox):
                self._await(device, inbox, progress, ends_at, last=last)
                answer: dict[str, Any] = future.result()
        except (FaultTold, Stopped):
            raise
        except Exception as error:
            raise FaultTold(self._broken(device, error)) from error
        if answer.get("stopped"):
            raise FaultTold(_transport(f"{device}: its lab host was stopped", "the job is given back"))
        if "fault" in answer:
            self._held.discard(device)
            raise FaultTold(Fault(**answer["fault"]))
        return answer

    def _await(
        self, device: str, inbox: Inbox, progress: Progress | None, ends_at: float | None, *, last: bool
    ) -> None:
        """Until the task is done; hands its progress on meanwhile."""
        waits = False
        while True:
            if self._over.is_set() and not last:
                raise Stopped
            absent_since = self._cluster.absent_since(device)
            if absent_since is not None and not waits and progress is not None:
                progress.note(f"{device}: no lab host offers it; waited for {self._patience_s:g} s")
            waits = absent_since is not None
            limits = [] if ends_at is None else [ends_at]
            if absent_since is not None:
                limits.append(absent_since + self._patience_s)
            try:
                timeout_s = None if not limits else max(0.0, min(limits) - time.monotonic())
                news = inbox.get(timeout=timeout_s)
            except queue.Empty:
                if self._cluster.absent_since(device) is None:
                    raise FaultTold(_transport(f"{device}: its lab host does not answer")) from None
                raise FaultTold(self._gone(device)) from None
            if news == DONE:
                return
            if news == LOST:
                raise FaultTold(self._lost(device))
            if progress is not None and isinstance(news, dict):
                _hand_on(news, progress)

    def _gone(self, device: str) -> Fault:
        return _transport(
            f"{device}: no lab host has offered it for {self._patience_s:g} s",
            "start `edgeflow worker` on its host again, then resume the sweep",
            retry=False,
        )

    def _lost(self, device: str) -> Fault:
        return _transport(
            f"{device}: the scheduler at {self._cluster.executor} is gone",
            "start it again, then resume the sweep",
            retry=False,
        )

    def _broken(self, device: str, error: Exception) -> Fault:
        """What Dask itself says of the task."""
        if self._cluster.lost:
            return self._lost(device)
        name, words = type(error).__name__, " ".join(str(error).split())
        if name == "KilledWorker":
            return _transport(
                f"{device}: its lab host's worker died again and again in this job", "look at its log there"
            )
        if name in ("CancelledError", "FutureCancelledError"):
            return _transport(f"{device}: Dask gave the job up: {words or name}")
        return _transport(
            f"{device}: its lab host cannot run the job: {name}: {words}",
            "install the same versions of edgeflow and Python on both",
            retry=False,
        )


def _as_of_home(answer: dict[str, Any], prepared: Prepared) -> Measurement:
    """The result as one of this host's: its own id, the artifact where it lies here, and who measured."""
    document, artifact = answer["document"], prepared.artifact
    document["result_id"] = new_result_id()
    document["artifact"]["path"] = str(artifact.path)
    document["lab_host"] = answer["host"]
    return Measurement(document, answer["series"])


def _hand_on(news: dict[str, Any], progress: Progress) -> None:
    match news:
        case {"step": str(text)}:
            progress.step(text)
        case {"note": str(text)}:
            progress.note(text)
        case {"done": done, "total": total}:
            progress.update(done, total)


def _transport(message: str, hint: str = "", *, retry: bool = True) -> Fault:
    return Fault("transport", message, hint, retry=retry, blames_device=True)
