"""Every agent in a process of its own, and a client that speaks frames to it.

A test that takes `agent` or `connect` runs once for each: `python` (a zipapp) and `native` (native_agent.py).
What is only about one of them says so: `@pytest.mark.parametrize("agent", ["python"], indirect=True)`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import native_agent
from edgeflow_agent.bundle import build_agent
from edgeflow_agent.channel import PipeStream
from edgeflow_agent.wire import Frame, FrameType, Tensor, tensors_of, with_tensors


class Client:
    """One connection to an agent; `call` gives a result or raises the ERROR as AgentSaid."""

    def __init__(self, argv: list[str], log: Path) -> None:
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stream = PipeStream(self.process.stdout.fileno(), self.process.stdin.fileno())
        self.progress: list[dict[str, Any]] = []
        self.answer = Frame(FrameType.HELLO, {})
        self._id = 0

    def hello(self) -> dict[str, Any]:
        frame = self.stream.read_frame()
        assert frame is not None and frame.type is FrameType.HELLO
        return frame.meta

    def send(self, method: str, tensors: list[Tensor] | None = None, **params: Any) -> int:
        self._id += 1
        meta = {"id": self._id, "method": method, "params": params}
        self.stream.write_frame(
            Frame(FrameType.REQUEST, meta)
            if tensors is None
            else with_tensors(FrameType.REQUEST, meta, tensors)
        )
        return self._id

    def receive(self) -> Any:
        """The next answer's result. Raises AgentSaid on an ERROR, EOFError when the agent is gone."""
        while True:
            frame = self.stream.read_frame()
            if frame is None:
                raise EOFError
            if frame.type is not FrameType.PROGRESS:
                self.answer = frame
                if frame.type is FrameType.ERROR:
                    raise AgentSaid(frame.meta["error"])
                return frame.meta["result"]
            self.progress.append(frame.meta)

    def call(self, method: str, tensors: list[Tensor] | None = None, **params: Any) -> Any:
        request = self.send(method, tensors, **params)
        result = self.receive()
        assert self.answer.meta["id"] == request
        return result

    def start(self, kind: str, tensors: list[Tensor], **params: Any) -> str:
        job: str = self.call("job.start", tensors, kind=kind, **{"backend": "null", **params})["job"]
        return job

    def job(self, kind: str, tensors: list[Tensor], **params: Any) -> Any:
        """Runs one job to its result."""
        return self.call("job.wait", job=self.start(kind, tensors, **params))

    def tensors(self) -> list[Tensor]:
        return tensors_of(self.answer)

    def until_phase(self, phase: str) -> None:
        """Reads PROGRESS frames until the running job.wait reports `phase`."""
        while not any(progress["phase"] == phase for progress in self.progress):
            frame = self.stream.read_frame()
            assert frame is not None and frame.type is FrameType.PROGRESS, frame
            self.progress.append(frame.meta)

    def hang_up(self) -> int:
        """Ends the input as a host that goes away does; gives the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class AgentSaid(Exception):
    """An ERROR frame."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.phase: str = error["phase"]
        self.detail: dict[str, Any] = error["detail"]


@dataclass(frozen=True)
class Agent:
    """One agent. `runner` are the words before its path; `emulated`, `watched`: its memory is not its own."""

    kind: str
    path: Path
    runner: tuple[str, ...]
    build: str
    emulated: bool = False
    watched: bool = False

    def argv(self, command: str, work: Path | str, *options: str) -> list[str]:
        return [*self.runner, str(self.path), command, "--work", str(work), *options]


def native_program(name: str) -> Path:
    try:
        return native_agent.program(name)
    except native_agent.NoToolsError as error:
        if native_agent.required():
            raise
        pytest.skip(f"the native agent is not built here: {error}")


@pytest.fixture(scope="session")
def native_peer() -> Path:
    """The program that answers as the Python agent's measuring functions do."""
    return native_program("edgeflow-peer")


@pytest.fixture(scope="session")
def native_codec() -> list[str]:
    """The program that reads frames and writes them again."""
    return [*native_agent.runner(), str(native_program("edgeflow-codec"))]


@pytest.fixture(scope="session")
def native_replay() -> list[str]:
    """The program that runs the fuzz target over files."""
    return [*native_agent.runner(), str(native_program("edgeflow-replay"))]


@pytest.fixture(scope="session", params=["python", "native"])
def agent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Agent:
    if request.param == "python":
        built = build_agent(tmp_path_factory.mktemp("agent") / "agent.pyz")
        return Agent("python", built.path, (sys.executable,), built.build)
    path = native_program("edgeflow-agent")
    if native_agent.sanitized():  # a worker that is told to crash is to die of the signal, not of its report
        os.environ.setdefault("ASAN_OPTIONS", "handle_segv=0:handle_abort=0")
    runner = tuple(native_agent.runner())
    build = subprocess.run(
        [*runner, path, "build"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return Agent("native", path, runner, build, bool(runner), native_agent.sanitized())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    # Longer than a Unix socket's path may be, as a real work folder can be.
    return tmp_path / ("work" + "x" * 120)


@pytest.fixture
def connect(agent: Agent, work: Path, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Opens connections: connect("core") or connect("attach"), attached with a token unless it is None."""
    opened: list[Client] = []

    def open_client(
        command: str = "core",
        token: str | None = "token",
        host: str = "host",
        *,
        python: str | None = None,
        argv: list[str] | None = None,
    ) -> Client:
        argv = argv or agent.argv(command, work)
        client = Client(argv if python is None else [python, *argv[1:]], tmp_path / "stderr")
        opened.append(client)
        client.greeting = client.hello()  # type: ignore[attr-defined]
        if token is not None:
            client.call("attach", token=token, host=host)
        return client

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def put(work: Path) -> Callable[[bytes], str]:
    """Puts a file into the work folder by content, as the transport does; gives its SHA-256."""

    def write(content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        (work / "files").mkdir(parents=True, exist_ok=True)
        (work / "files" / name).write_bytes(content)
        return name

    return write


@pytest.fixture
def said() -> type[AgentSaid]:
    return AgentSaid
