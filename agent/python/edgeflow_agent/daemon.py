"""The daemon: the core on a Unix socket, detached from whoever started it; and its clients on the device.

The socket is bound and reached from inside its folder: sun_path takes 104 to 108 bytes (unix(7)), and the
path of a work folder may be longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import struct
import sys
import threading
import time
from typing import Any, Dict, Iterator, Optional

from edgeflow_agent.channel import CHUNK_BYTES, SocketStream, Waker
from edgeflow_agent.core import exit_on_signals
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import WorkFolder, storage_fault
from edgeflow_agent.server import Core, Session
from edgeflow_agent.wire import Frame, FrameType, WireError

SOCKET = "agent.sock"
PID = "agent.pid"
LOG = "agent.log"
START = "start.lock"
END_RETRIES = 100
END_RETRY_S = 0.1
MAX_LOG_BYTES = 1 << 20
ANSWER_TIMEOUT_S = 30.0
UCRED = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class NoDaemon(Exception):
    """No daemon of this build listens in this work folder."""


def run_folder(work: str, build: str) -> str:
    """WORK/run/<build>, made private to this user. Raises Fault when it is another's."""
    folder = os.path.join(os.path.abspath(work), "run", build)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.stat(folder)
        if found.st_uid != os.getuid():
            raise Fault("internal", "%s belongs to another user: choose another work folder" % folder)
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.chmod(folder, 0o700)
    except OSError as error:
        raise storage_fault(error, "cannot make the folder %s" % folder) from error
    return folder


def start(work: str, build: str) -> Dict[str, Any]:
    """Starts the daemon unless it runs, and returns once it listens. Raises Fault."""
    work = os.path.abspath(work)
    folder = run_folder(work, build)
    # One start at a time: whoever comes second finds the first one's daemon listening.
    with open(os.path.join(folder, START), "wb") as start_lock:
        fcntl.flock(start_lock.fileno(), fcntl.LOCK_EX)
        return _start_locked(work, build, folder)


def _start_locked(work: str, build: str, folder: str) -> Dict[str, Any]:
    pid_fd = os.open(os.path.join(folder, PID), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for attempt in range(END_RETRIES):
        try:
            # Held by the daemon for its whole life: this lock, never the socket's file, says that one runs.
            fcntl.flock(pid_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            try:
                running = status(work, build)
                os.close(pid_fd)
                return {"pid": running["pid"], "build": build, "started": False}
            except NoDaemon as error:  # it is just ending
                if attempt == END_RETRIES - 1:
                    os.close(pid_fd)
                    path = os.path.join(folder, PID)
                    raise Fault("internal", "%s: end the process that %s names" % (error, path)) from error
                time.sleep(END_RETRY_S)
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready_read)
        _become_daemon(work, build, folder, pid_fd, ready_write)
    os.close(ready_write)
    os.close(pid_fd)
    os.waitpid(child, 0)
    with os.fdopen(ready_read, "rb") as pipe:
        answer = pipe.read()
    if not answer:
        raise Fault("internal", "the daemon died at its start; see %s" % os.path.join(folder, LOG))
    told: Dict[str, Any] = json.loads(answer.decode("utf-8"))
    if "error" in told:
        raise Fault.from_meta(told["error"])
    return dict(told, build=build, started=True)


def attach(work: str, build: str) -> int:
    """Bridges stdin and stdout to the daemon until either side ends. Raises NoDaemon."""
    connection = _connect(work, build)

    def upstream() -> None:
        try:
            while True:
                data = os.read(0, CHUNK_BYTES)
                if not data:
                    break
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the daemon ended; the other direction sees it

    threading.Thread(target=upstream, daemon=True).start()
    while True:
        data = connection.recv(CHUNK_BYTES)
        if not data:
            return 0
        while data:
            data = data[os.write(1, data) :]


def status(work: str, build: str) -> Dict[str, Any]:
    """The daemon's HELLO. Raises NoDaemon."""
    with _client(work, build) as (_, hello):
        return hello


def stop(work: str, build: str, *, force: bool) -> Dict[str, Any]:
    """Ends the daemon and returns when it is gone: {"stopped": pid}. Raises NoDaemon, Fault busy."""
    with _client(work, build) as (stream, hello):
        stream.write_frame(
            Frame(FrameType.REQUEST, {"id": 1, "method": "shutdown", "params": {"force": force}})
        )
        answer = stream.read_frame()
        if answer is not None and answer.type is FrameType.ERROR:
            raise Fault.from_meta(answer.meta.get("error"))
        with open(os.path.join(run_folder(work, build), PID), "rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH)  # granted when the daemon is gone
        return {"stopped": hello["pid"]}


@contextlib.contextmanager
def _client(work: str, build: str) -> "Iterator[tuple[SocketStream, Dict[str, Any]]]":
    with _connect(work, build) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        stream = SocketStream(connection)
        try:
            hello = stream.read_frame()
        except (OSError, WireError) as error:
            raise NoDaemon("the daemon does not answer: %s" % error) from error
        if hello is None or hello.type is not FrameType.HELLO:
            raise NoDaemon("the daemon closed the connection")
        yield stream, hello.meta


def _connect(work: str, build: str) -> socket.socket:
    folder = os.path.join(os.path.abspath(work), "run", build)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.chdir(folder)
        connection.connect(SOCKET)
    except OSError as error:
        connection.close()
        raise NoDaemon("no daemon listens in %s (%s)" % (folder, error.strerror)) from error
    return connection


def _become_daemon(work: str, build: str, folder: str, pid_fd: int, ready_fd: int) -> None:
    """In the first child: detaches (setsid, second fork), then serves. Never returns."""
    code = 1
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        _detach_descriptors(folder, (pid_fd, ready_fd))
        code = _serve(work, build, folder, pid_fd, ready_fd)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except Fault as fault:
        _tell(ready_fd, {"error": fault.to_meta()})
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _detach_descriptors(folder: str, kept: "tuple[int, int]") -> None:
    log_path = os.path.join(folder, LOG)
    if os.path.exists(log_path) and os.path.getsize(log_path) > MAX_LOG_BYTES:
        os.replace(log_path, log_path + ".1")
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for fd in range(3, 1024):
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def _serve(work: str, build: str, folder: str, pid_fd: int, ready_fd: int) -> int:
    os.ftruncate(pid_fd, 0)
    os.pwrite(pid_fd, b"%d\n" % os.getpid(), 0)
    core = Core(WorkFolder(work), build, persistent=True)
    os.chdir(folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)  # of a daemon that was killed: ours is the lock, so nobody listens there
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(SOCKET)
    os.chmod(SOCKET, 0o600)
    listener.listen(8)
    waker = Waker()
    core.on_end = waker.wake
    exit_on_signals(waker)
    core.log.line("daemon %d of build %s listens" % (os.getpid(), build))
    _tell(ready_fd, {"pid": os.getpid()})
    try:
        _accept(core, listener, waker)
    finally:
        core.jobs.close()
        core.log.line("daemon ends")
        os.unlink(SOCKET)
        os.ftruncate(pid_fd, 0)  # an empty file says "none runs" to whoever only looks at its size
    return 0


def _accept(core: Core, listener: socket.socket, waker: Waker) -> None:
    listener.setblocking(False)  # a client may be gone again before it is accepted
    while waker.wait(listener.fileno()):
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        connection.setblocking(True)
        uid = peer_uid(connection)
        if uid is not None and uid != os.getuid():
            core.log.line("refused a peer of uid %d" % uid)
            connection.close()
            continue
        threading.Thread(target=_converse, args=(core, connection), daemon=True).start()


def _converse(core: Core, connection: socket.socket) -> None:
    stream = SocketStream(connection)
    try:
        Session(core, stream).serve()
    finally:
        stream.release()


def peer_uid(connection: socket.socket) -> Optional[int]:
    """The user of the peer (SO_PEERCRED); None on macOS, where the folder's mode 0700 is the only guard."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    uid: int = UCRED.unpack(packed)[1]
    return uid


def _tell(ready_fd: int, told: Dict[str, Any]) -> None:
    os.write(ready_fd, json.dumps(told).encode("utf-8"))
    os.close(ready_fd)
