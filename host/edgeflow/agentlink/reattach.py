"""A session that outlives its connection: with a daemon, a job goes on when the link drops, and so do we."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edgeflow.agentlink.claim import claim
from edgeflow.agentlink.identity import host_identity
from edgeflow.agentlink.provision import attach_daemon, open_session
from edgeflow.agentlink.session import (
    CALL_TIMEOUT_S,
    AgentSession,
    ConnectionLost,
    Hello,
    ProgressFn,
    Reply,
)
from edgeflow.errors import AgentError, DeviceError, EdgeflowError

if TYPE_CHECKING:
    from pathlib import Path

    from edgeflow.agentlink.provision import InstalledAgent
    from edgeflow.devices.transports.base import Channel
    from edgeflow.progress import Progress
    from edgeflow_agent import wire

_PATIENCE_S = 90.0  # a board reboots within a minute
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_MAX_LOSSES = 5  # of one request: a link that drops each time is not worth more
_LAST_WORDS_S = 3.0

LINK_LOST = "link_lost"
"""The code of the DeviceError for a link that did not come back in time, or took a job with it."""


class Reattaching:
    """Calls to the device's daemon where one runs, else to a core of its own (Hello.carrier).

    When the connection to a daemon is lost, it connects again, as the same host, and takes the request up: a
    job that runs is waited for, a job that was started is not started twice. A one-shot core ends with its
    connection, and its job with it. Every attempt is told by `progress.note`.
    """

    def __init__(
        self,
        agent: InstalledAgent,
        home: Path,
        progress: Progress,
        *,
        core: Channel | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Opens and claims a session; `core` is one that was started ahead (provision.started_core).

        Raises DeviceError (busy, unreachable), AgentError, UsageError.
        """
        self._agent = agent
        self._identity = host_identity(home)
        self._progress = progress
        self._patience_s = patience_s
        self._jobs: set[str] = set()  # started and not yet acknowledged
        self._session: AgentSession | None
        with ExitStack() as held:
            self._session = attach_daemon(agent)
            held.callback(self._drop)
            if self._session is None:
                self._session = open_session(agent, self._identity, core)
            else:
                held.enter_context(claim(home, agent.device))
                self._session.attach(self._identity.token, self._identity.name)
            self._hello = self._session.hello
            if self._hello.carrier == "daemon":
                self._clear_left_behind()
            self._held = held.pop_all()

    @property
    def hello(self) -> Hello:
        return self._hello

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
        """As AgentSession.call, over as many connections as it takes.

        Raises DeviceError when the device does not come back, AgentError when the job is lost.
        """
        deadline = time.monotonic() + timeout_s
        for losses in range(_MAX_LOSSES + 1):
            if self._session is None:
                raise AgentError(
                    f"{self._agent.device}: its agent is gone, so it cannot be asked to {method}"
                )
            left_s = max(1.0, deadline - time.monotonic())
            try:
                reply = self._session.call(
                    method, params, tensors, timeout_s=left_s, on_progress=on_progress, runtime=runtime
                )
            except ConnectionLost as lost:
                if losses == _MAX_LOSSES:
                    raise
                self._connect_again(lost, method)
                started = self._already_started() if method == "job.start" else None
                if started is None:
                    continue
                reply = started
            except AgentError as error:
                if not losses or error.code != "no_job":
                    raise
                if method != "job.ack":
                    raise self._started_anew(error) from error
                reply = Reply({}, ())  # the answer to the first acknowledgement was lost with the connection
            self._keep_book(method, params or {}, reply)
            return reply
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Ends the connection; a daemon goes on. May be called twice."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._held:
            if kind is None or self._session is None:
                return
            if self._hello.carrier == "daemon":
                self._cancel_jobs()
            self._session.__exit__(kind, error, trace)

    def _connect_again(self, lost: ConnectionLost, method: str) -> None:
        device = self._agent.device
        self._drop()
        if self._hello.carrier != "daemon":
            raise self._one_shot_lost(lost)
        started = time.monotonic()
        pause_s, attempt, reason = _FIRST_PAUSE_S, 0, lost.message
        while True:
            attempt += 1
            self._progress.note(f"{reason} ({method}); connecting again, attempt {attempt}")
            try:
                alive = self._attach_again()
            except (DeviceError, AgentError) as error:
                if time.monotonic() - started + pause_s > self._patience_s:
                    raise _link_lost(
                        f"{device}: the link was lost and did not come back within {self._patience_s:g} s: "
                        f"{error.message.removeprefix(f'{device}: ')}",
                        hint="check the device and its network; its daemon ends the job by itself",
                        detail=error.detail,
                    ) from error
                reason = error.message
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            break
        if not alive:
            reason = lost.message.removeprefix(f"{device}: ")
            raise AgentError(
                f"{device}: its daemon ended, and the job with it ({reason})",
                hint=f"edgeflow agent start --device {device}, then deploy again",
                detail=lost.detail,
            ) from lost
        self._progress.note(f"{device}: connected again after {time.monotonic() - started:.1f} s")

    def _attach_again(self) -> bool:
        """A new connection, claimed; False where no daemon runs. Raises DeviceError, AgentError."""
        session = attach_daemon(self._agent)
        if session is None:
            return False
        try:
            session.attach(self._identity.token, self._identity.name)
        except BaseException:
            session.close()
            raise
        self._session = session
        return True

    def _one_shot_lost(self, lost: ConnectionLost) -> EdgeflowError:
        """Which of the two went, the link or the agent: asked of the transport, which connects anew."""
        device = self._agent.device
        hint = f"edgeflow agent start --device {device}: a daemon keeps the job"
        message = f"{lost.message}; a job of a one-shot agent is lost with its connection"
        try:
            self._agent.transport.run(["true"], timeout_s=CALL_TIMEOUT_S)
        except DeviceError as error:
            return _link_lost(
                f"{error.message}; the job is lost",
                hint=f"{error.hint}; then {hint}" if error.hint else hint,
                detail=error.detail,
            )
        if lost.by_link:
            return _link_lost(message, hint=hint, detail=lost.detail)
        return AgentError(message, hint=hint, detail=lost.detail)

    def _started_anew(self, error: AgentError) -> AgentError:
        """For a daemon that does not know a job of ours: it is another one than before the link was lost."""
        device = self._agent.device
        return AgentError(
            f"{device}: its daemon was started anew while the link was lost: the job went with the old one",
            code=error.code,
            hint="the device was rebooted, or its agent restarted: deploy again",
            detail=error.detail,
        )

    def _already_started(self) -> Reply | None:
        """The job whose start was asked for when the connection was lost, if the daemon did start it."""
        assert self._session is not None
        listed = self._session.call("job.list").result["jobs"]
        fresh = [job["job"] for job in listed if job["job"] not in self._jobs]
        return Reply({"job": fresh[-1]}, ()) if fresh else None

    def _clear_left_behind(self) -> None:
        """Ends what an earlier process of this host left: its result has nobody any more to collect it."""
        assert self._session is not None
        for job in self._session.call("job.list").result["jobs"]:
            if job["state"] == "running":
                self._progress.note(
                    f"{self._agent.device}: ends a {job['kind']} job that an earlier command of yours left "
                    f"there (since {job['since']})"
                )
            self._session.call("job.cancel", {"job": job["job"]})
            self._session.call("job.ack", {"job": job["job"]})

    def _keep_book(self, method: str, params: Mapping[str, Any], reply: Reply) -> None:
        if method == "job.start":
            self._jobs.add(reply.result["job"])
        elif method == "job.ack":
            self._jobs.discard(params["job"])

    def _cancel_jobs(self) -> None:
        """After Ctrl-C or an error nobody wants the answer: the device is to be free for others at once."""
        assert self._session is not None
        for job in self._jobs:
            with suppress(EdgeflowError):
                self._session.call("job.cancel", {"job": job}, timeout_s=_LAST_WORDS_S)

    def _drop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(EdgeflowError):
                session.close()


def _link_lost(message: str, *, hint: str, detail: str) -> DeviceError:
    error = DeviceError(message, hint=hint, detail=detail)
    error.code = LINK_LOST
    return error
