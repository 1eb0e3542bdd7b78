"""One connection: HELLO, then requests and answers. What outlives a connection is in the job table."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import traceback
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Union

from edgeflow_agent import __version__, sites, sysinfo
from edgeflow_agent.backends.base import available
from edgeflow_agent.channel import Stream
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import WorkFolder, describe_busy
from edgeflow_agent.jobs import JobTable, error_frame
from edgeflow_agent.log import Log, rfc3339_now
from edgeflow_agent.wire import PROTOCOL_VERSION, Frame, FrameType, WireError, tensors_of

IMMEDIATE = frozenset(("ping", "job.cancel", "job.status"))
MAX_QUEUED = 16
MAX_TEXT = 200
JOIN_S = 2.0
LAST_WORDS_S = 0.5


class Client(NamedTuple):
    """Who is attached."""

    token: str
    host: str
    since: str


class Core:
    """What every connection shares: work folder, jobs, and the one client that is attached."""

    def __init__(self, folder: WorkFolder, build: str, *, persistent: bool, root: str = "/") -> None:
        self.log = Log()
        self.folder = folder
        self.build = build
        self.persistent = persistent
        self.jobs = JobTable(folder, build, persistent, self.log, root=root)
        self.ending = threading.Event()
        self.on_end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._attached: Optional[Session] = None

    def hello(self) -> Dict[str, Any]:
        """The meta of HELLO."""
        return {
            "protocol": PROTOCOL_VERSION,
            "agent": {
                "kind": "python",
                "version": __version__,
                "build": self.build,
                "flags": "%s %s" % (sys.implementation.name, sys.version.split()[0]),
            },
            "carrier": "daemon" if self.persistent else "one-shot",
            "pid": os.getpid(),
            "backends": available(sites.usable(self.folder.site)),
            "accelerators": list(sysinfo.ACCELERATORS),
            "busy": self.busy(),
        }

    def busy(self) -> Optional[Dict[str, Any]]:
        """Who keeps this device from others: a running job anywhere, or this daemon's attached client."""
        holder = self.jobs.busy()
        with self._lock:
            if holder is None and self._attached is not None and self._attached.client is not None:
                holder = {"by": self._attached.client.host, "since": self._attached.client.since}
        return holder

    def attach(self, session: Session, client: Client) -> bool:
        """Makes `session` the attached one; True when it ended one of the same token. Raises busy."""
        with self._lock:
            old = self._attached
            if old is session and session.client is not None and session.client.token != client.token:
                raise Fault("bad_request", "this connection is attached with another token")
            other = old.client if old is not None and old is not session else None
            if other is not None and other.token != client.token:
                holder = {"by": other.host, "since": other.since}
                raise Fault("busy", describe_busy(holder), detail=holder)
            running = self.jobs.running()
            if running is not None and running.record.token != client.token:
                holder = {"by": running.record.host, "since": running.record.since}
                raise Fault("busy", describe_busy(holder), detail=holder)
            superseded = old is not None and old is not session
            self._attached = session
            session.client = client
        if superseded and old is not None:
            holder = {"by": client.host, "since": client.since}
            message = "another session of %s took the device over" % client.host
            old.end(Fault("busy", message, detail=holder))
        return superseded

    def detach(self, session: Session) -> None:
        """The session's connection is gone."""
        with self._lock:
            if self._attached is session:
                self._attached = None


class Session:
    """Serves one connection until its end. `serve` blocks; it gives the exit code of a one-shot core."""

    def __init__(self, core: Core, stream: Stream) -> None:
        self.client: Optional[Client] = None
        self._core = core
        self._stream = stream
        self._closed = threading.Event()
        self._queue: queue.Queue[Optional[Frame]] = queue.Queue(MAX_QUEUED)
        self._methods: Dict[str, Callable[[Frame, Dict[str, Any]], Union[Dict[str, Any], Frame]]] = {
            "ping": lambda frame, params: {},
            "attach": self._attach,
            "files.stat": self._files_stat,
            "job.prepare": self._job_prepare,
            "job.start": self._job_start,
            "job.wait": self._job_wait,
            "job.status": self._job_status,
            "job.cancel": self._job_cancel,
            "job.ack": self._job_ack,
            "job.list": self._job_list,
            "logs": self._logs,
            "shutdown": self._shutdown,
        }

    def end(self, why: Fault) -> None:
        """Ends the connection from another thread, and tells the peer why unless it takes no more."""
        self._closed.set()
        teller = threading.Thread(target=self._tell, args=(why,), name="last words", daemon=True)
        teller.start()
        teller.join(LAST_WORDS_S)
        self._stream.close()
        self._wake_waiter()

    def serve(self) -> int:
        """HELLO, then one answer for each request, until the peer goes (0) or breaks the protocol (1)."""
        worker = threading.Thread(target=self._work, name="requests", daemon=True)
        try:
            self._stream.write_frame(Frame(FrameType.HELLO, self._core.hello()))
            worker.start()
            return self._read_requests()
        except OSError:
            return 0  # the peer is gone, or another session superseded this one
        finally:
            self._closed.set()
            self._core.detach(self)
            self._wake_waiter()
            if worker.ident is not None:
                self._drain()
                self._queue.put(None)
                worker.join(JOIN_S)  # it may be stuck in a write to a host that reads no more

    def _read_requests(self) -> int:
        while not self._core.ending.is_set():
            try:
                frame = self._stream.read_frame()
                if frame is None:
                    return 0
                if frame.type is not FrameType.REQUEST or type(frame.meta.get("id")) is not int:
                    raise WireError("expected a REQUEST with a numeric id, got type %d" % frame.type)
            except WireError as error:
                self._core.log.line("connection ended: %s" % error)
                self._answer(None, error_frame(Fault("bad_frame", str(error))))
                return 1
            if frame.meta.get("method") in IMMEDIATE:
                self._handle(frame)
            else:
                try:
                    self._queue.put_nowait(frame)
                except queue.Full:
                    fault = Fault(
                        "bad_request", "over %d requests are waiting: read the answers" % MAX_QUEUED
                    )
                    self._answer(frame.meta["id"], error_frame(fault))
        return 0

    def _work(self) -> None:
        while True:
            frame = self._queue.get()
            if frame is None:
                return
            try:
                self._handle(frame)
            except OSError:
                self._closed.set()
                return  # the reader sees the end of input by itself

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            pass

    def _handle(self, frame: Frame) -> None:
        request_id, method = frame.meta["id"], frame.meta.get("method")
        params = frame.meta.get("params", {})
        try:
            serve = self._methods.get(method) if isinstance(method, str) else None
            if serve is None:
                known = " ".join(self._methods)
                raise Fault("unknown_method", "no method %.80r; known: %s" % (method, known))
            if not isinstance(params, dict):
                raise Fault("bad_request", "params is not an object")
            found = serve(frame, params)
            answer = found if isinstance(found, Frame) else Frame(FrameType.RESPONSE, {"result": found})
        except Fault as fault:
            answer = error_frame(fault)
        except OSError as error:
            if self._closed.is_set():
                raise
            answer = error_frame(Fault("internal", "%s: %s" % (method, error)))
        except Exception as error:
            self._core.log.line("%s failed:\n%s" % (method, traceback.format_exc()))
            answer = error_frame(Fault("internal", "%s: %s: %s" % (method, type(error).__name__, error)))
        self._answer(request_id, answer)
        if self._core.ending.is_set():
            self._core.on_end()
            self._stream.close()

    def _answer(self, request_id: Optional[int], answer: Frame) -> None:
        meta = dict(answer.meta, id=request_id)
        try:
            self._stream.write_frame(answer._replace(meta=meta))
        except WireError as error:
            fault = Fault("internal", "the answer breaks the protocol: %s" % error)
            self._stream.write_frame(Frame(FrameType.ERROR, {"id": request_id, "error": fault.to_meta()}))

    def _tell(self, why: Fault) -> None:
        with contextlib.suppress(OSError):
            self._answer(None, error_frame(why))

    def _wake_waiter(self) -> None:
        running = self._core.jobs.running()
        if running is not None:
            running.wake()

    def _token(self) -> str:
        if self.client is None:
            raise Fault("not_attached", "attach with a token first")
        return self.client.token

    def _attach(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        token, host = _text(params, "token"), _text(params, "host")
        return {"superseded": self._core.attach(self, Client(token, host, rfc3339_now()))}

    def _files_stat(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        asked = params.get("sha256")
        if not isinstance(asked, list):
            raise Fault("bad_request", "files.stat: sha256 is not a list")
        return {"present": [sha256 for sha256 in asked if self._core.folder.has_file(sha256)]}

    def _job_prepare(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        self._token()
        self._core.jobs.prepare(params)
        return {}

    def _job_start(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        token = self._token()
        assert self.client is not None
        try:
            tensors = tensors_of(frame)
        except WireError as error:
            raise Fault("bad_request", "job.start: %s" % error) from error
        seen = set()
        for tensor in tensors:
            key = (tensor.set or 0, tensor.name)
            if key in seen:
                raise Fault("bad_input", "input %.80r is given twice in set %d" % (tensor.name, key[0]))
            seen.add(key)
        if not tensors:
            raise Fault("bad_input", "job.start carries no input tensors")
        job = self._core.jobs.start(
            params, frame.body, frame.meta["tensors"], token=token, host=self.client.host
        )
        return {"job": job}

    def _job_wait(self, frame: Frame, params: Dict[str, Any]) -> Frame:
        job = self._core.jobs.find(params.get("job"), self._token())
        seen = 0
        while True:
            news = job.wait_news(seen, self._closed)
            for progress in news:
                seen = progress.seq
                self._stream.write_frame(Frame(FrameType.PROGRESS, dict(progress.meta, id=frame.meta["id"])))
            if self._closed.is_set():
                raise OSError("the connection is gone")
            if job.outcome is not None and not news:
                return self._core.jobs.outcome(job)

    def _job_status(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        return self._core.jobs.find(params.get("job"), self._token()).status()

    def _job_cancel(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        job = self._core.jobs.find(params.get("job"), self._token())
        self._core.jobs.cancel(job)
        return {"state": job.record.state}

    def _job_ack(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        self._core.jobs.acknowledge(self._core.jobs.find(params.get("job"), self._token()))
        return {}

    def _job_list(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        records = self._core.jobs.records(self._token())
        listed: List[Mapping[str, Any]] = [
            {"job": record.job, "kind": record.kind, "state": record.state, "since": record.since}
            for record in records
        ]
        return {"jobs": listed}

    def _logs(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        count = params.get("lines", 100)
        if type(count) is not int or count < 0:
            raise Fault("bad_request", "logs: lines=%.40r" % (count,))
        return {"lines": self._core.log.tail(count)}

    def _shutdown(self, frame: Frame, params: Dict[str, Any]) -> Dict[str, Any]:
        if params.get("force") is not True:
            self._core.jobs.require_idle()
        self._core.ending.set()  # _handle ends the core once the answer is written
        return {}


def _text(params: Mapping[str, Any], name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        raise Fault("bad_request", "attach: %s is a text of 1 to %d characters" % (name, MAX_TEXT))
    return value
