"""The client of one agent: HELLO, requests, progress, errors, over any channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from edgeflow.agentlink.faults import fault
from edgeflow.devices.transports.base import Channel, ChannelClosed, DeviceTimeout
from edgeflow.errors import AgentError, DeviceError
from edgeflow_agent import wire

_READ_BYTES = 1 << 18
_HELLO_TIMEOUT_S = 30.0
CALL_TIMEOUT_S = 30.0

ProgressFn = Callable[[str, float, float | None], None]
"""Called with (phase, done, total) for each PROGRESS frame."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What an agent says of itself when a channel opens."""

    kind: str
    version: str
    build: str
    flags: str
    carrier: str  # "one-shot" | "daemon"
    pid: int
    backends: Mapping[str, Mapping[str, Any]]
    accelerators: tuple[str, ...]
    busy: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A RESPONSE: its result and its tensors."""

    result: Mapping[str, Any]
    tensors: tuple[wire.Tensor, ...]


class ConnectionLost(AgentError):
    """The connection ended before the answer came. `by_link`: the transport says that its link was lost."""

    def __init__(self, message: str, *, by_link: bool = False, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.by_link = by_link


class Calls(Protocol):
    """What gives an agent requests: a session, or one that outlives its connection."""

    @property
    def hello(self) -> Hello:
        """What the agent said of itself."""

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        tensors: Sequence[wire.Tensor] = (),
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        on_progress: ProgressFn | None = None,
        runtime: str = "",
    ) -> Reply:
        """One request and its answer, as AgentSession.call."""


class AgentSession:
    """One connection to one agent; requests run one after another.

    Closing it ends a one-shot core and leaves a daemon running. Every error names the device.
    """

    def __init__(self, channel: Channel, device: str) -> None:
        """Reads HELLO. Raises AgentError when the process at the other end is no agent of this version."""
        self._channel = channel
        self._device = device
        self._parser = wire.FrameParser()
        self._frames: list[wire.Frame] = []
        self._next_id = 1
        self.hello = self._read_hello()

    def attach(self, token: str, host: str) -> None:
        """Claims the agent for this host. Raises DeviceError (busy: by whom, since when)."""
        self.call("attach", {"token": token, "host": host})

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        tensors: Sequence[wire.Tensor] = (),
        *,
        timeout_s: float = CALL_TIMEOUT_S,
        on_progress: ProgressFn | None = None,
        runtime: str = "",
    ) -> Reply:
        """One request and its answer. Raises the EdgeflowError of the agent's error code, or AgentError
        when the agent hangs for `timeout_s` or breaks the protocol; ConnectionLost when it is gone.
        """
        request_id, self._next_id = self._next_id, self._next_id + 1
        meta = {"id": request_id, "method": method, "params": dict(params or {})}
        self._send(wire.with_tensors(wire.FrameType.REQUEST, meta, tensors), timeout_s)
        deadline = time.monotonic() + timeout_s
        while True:
            frame = self._read_frame(deadline)
            if frame.meta.get("id") is None and frame.type is wire.FrameType.ERROR:
                # Of the connection as a whole, before it ends: another session took over, a bad frame.
                raise fault(frame.meta["error"], device=self._device, runtime=runtime)
            if frame.meta.get("id") != request_id:
                continue  # the late answer to a request that was given up
            if frame.type is wire.FrameType.PROGRESS:
                if on_progress is not None:
                    on_progress(frame.meta["phase"], frame.meta["done"], frame.meta.get("total"))
            elif frame.type is wire.FrameType.ERROR:
                raise fault(frame.meta["error"], device=self._device, runtime=runtime)
            elif frame.type is wire.FrameType.RESPONSE:
                return Reply(frame.meta["result"], tuple(wire.tensors_of(frame)))

    def close(self) -> None:
        """Ends the connection. May be called twice."""
        self._channel.close()

    def __enter__(self) -> AgentSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # Nobody waits for a worker whose answer nobody wants: Ctrl-C is to be quick.
            self._channel.kill()
        self.close()

    def _send(self, frame: wire.Frame, timeout_s: float) -> None:
        try:
            for part in wire.encode_parts(frame):
                if part:
                    self._channel.write(part, timeout_s=timeout_s)
        except ChannelClosed as error:
            raise self._lost("ended") from error
        except DeviceTimeout:
            raise
        except DeviceError as error:
            raise _link_lost(error) from error

    def _read_hello(self) -> Hello:
        frame = self._read_frame(time.monotonic() + _HELLO_TIMEOUT_S)
        meta = frame.meta
        if frame.type is not wire.FrameType.HELLO or meta.get("protocol") != wire.PROTOCOL_VERSION:
            raise AgentError(
                f"{self._device}: its agent speaks protocol {meta.get('protocol')}, this host "
                f"{wire.PROTOCOL_VERSION}",
                code="bad_frame",
                hint=f"edgeflow agent stop --device {self._device}",
            )
        agent = meta["agent"]
        return Hello(
            kind=agent["kind"],
            version=agent["version"],
            build=agent["build"],
            flags=agent["flags"],
            carrier=meta["carrier"],
            pid=meta["pid"],
            backends=meta["backends"],
            accelerators=tuple(meta["accelerators"]),
            busy=meta["busy"],
        )

    def _read_frame(self, deadline: float) -> wire.Frame:
        while not self._frames:
            try:
                data = self._channel.read(_READ_BYTES, timeout_s=max(0.001, deadline - time.monotonic()))
            except DeviceTimeout as error:
                raise AgentError(
                    f"{self._device}: its agent did not answer in time",
                    code="timeout",
                    detail=self._channel.stderr_tail(),
                ) from error
            except DeviceError as error:
                raise _link_lost(error) from error
            if not data:
                raise self._lost("ended")
            try:
                self._frames.extend(self._parser.feed(data))
            except wire.WireError as error:
                raise self._broken(f"broke the protocol ({error})") from error
        return self._frames.pop(0)

    def _lost(self, what: str) -> ConnectionLost:
        told = self._broken(what)
        return ConnectionLost(told.message, detail=told.detail)

    def _broken(self, what: str) -> AgentError:
        tail = self._channel.stderr_tail()
        last = tail.strip().splitlines()[-1:] or ["it printed nothing"]
        return AgentError(
            f"{self._device}: its agent {what} before it answered: {last[0]}",
            code="internal",
            detail=tail,
        )


def _link_lost(error: DeviceError) -> ConnectionLost:
    return ConnectionLost(error.message, by_link=True, hint=error.hint, detail=error.detail)
