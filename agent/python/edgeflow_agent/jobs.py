"""The job table: one job at a time, its progress, its outcome, and who may ask for it."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Union

from edgeflow_agent import sites
from edgeflow_agent.ahead import LOG_PREFIX, Ahead, Setting, Started
from edgeflow_agent.backends.base import REGISTRY
from edgeflow_agent.energy import EnergyPlan, EnergyRun
from edgeflow_agent.faults import Fault
from edgeflow_agent.folder import JobLock, WorkFolder, describe_busy
from edgeflow_agent.harness import Plan
from edgeflow_agent.log import Log, rfc3339_now
from edgeflow_agent.spool import Record, Spool
from edgeflow_agent.supervise import Worker, spawn_ahead
from edgeflow_agent.sysinfo import ACCELERATORS, process_start_ticks
from edgeflow_agent.tuning import Tuning
from edgeflow_agent.wire import Buffer, Frame, FrameType, WireError

KINDS = ("infer", "bench", "memory", "energy")
FOLLOWED = ("infer", "memory")  # a deploy's next job comes at once; beside a bench nothing is started
START_PARAMS = frozenset(
    (
        "kind", "backend", "files", "options", "threads", "affinity", "accelerator", "limits", "plan", "site",
        "governor",
    )
)  # fmt: skip
PREPARE_PARAMS = frozenset(("backend", "threads", "affinity", "site"))
MAX_THREADS = 1024
MAX_GOVERNOR = 15  # CPUFREQ_NAME_LEN (linux/cpufreq.h) less its end

Run = Union[Worker, EnergyRun]
"""What runs a job: `run` blocks and gives its answer or raises Fault, `stop` ends it from any thread."""


class Progress(NamedTuple):
    """The newest report of one phase; `seq` grows with every report of the job."""

    seq: int
    meta: Dict[str, Any]


class Job:
    """One job: running until `finish`. Every method may be called from any thread."""

    def __init__(self, record: Record, outcome: Optional[Frame] = None) -> None:
        self._changed = threading.Condition()
        self._record = record
        self._progress: List[Progress] = []
        self.outcome = outcome
        self.worker: Optional[Run] = None

    @property
    def record(self) -> Record:
        return self._record

    def on_progress(self, meta: Mapping[str, Any]) -> None:
        """Keeps one report of each phase: a host that reads slowly misses numbers, never a phase."""
        fields = {name: meta.get(name) for name in ("phase", "done", "total", "note")}
        with self._changed:
            seq = self._progress[-1].seq + 1 if self._progress else 1
            if self._progress and self._progress[-1].meta["phase"] == fields["phase"]:
                self._progress.pop()
            self._progress.append(Progress(seq, fields))
            self._changed.notify_all()

    def finish(self, record: Record, outcome: Frame) -> None:
        """Ends the job with its RESPONSE or ERROR frame."""
        with self._changed:
            self._record = record
            self.outcome = outcome
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets everyone who waits look again."""
        with self._changed:
            self._changed.notify_all()

    def wait_news(self, seen: int, give_up: threading.Event) -> List[Progress]:
        """Blocks until there is progress after `seen`, an outcome, or `give_up`; gives the new progress."""
        with self._changed:
            self._changed.wait_for(lambda: self.outcome is not None or give_up.is_set() or self._newer(seen))
            return self._newer(seen)

    def wait_end(self) -> None:
        """Blocks until the job has its outcome."""
        with self._changed:
            self._changed.wait_for(lambda: self.outcome is not None)

    def status(self) -> Dict[str, Any]:
        """The result of job.status."""
        with self._changed:
            last = self._progress[-1].meta if self._progress else {"phase": "start", "done": 0, "total": 0}
            return {
                "state": self._record.state,
                "phase": last["phase"],
                "done": last["done"],
                "total": last["total"],
            }

    def _newer(self, seen: int) -> List[Progress]:
        return [progress for progress in self._progress if progress.seq > seen]


class JobTable:
    """Every job of this core. `persistent` is a daemon's: outcomes are spooled, and outlive the core.

    `root` is where power sources and governors are looked for.
    """

    def __init__(
        self, folder: WorkFolder, build: str, persistent: bool, log: Log, *, root: str = "/"
    ) -> None:
        self._folder = folder
        self._build = build
        self._persistent = persistent
        self._log = log
        self._root = root
        self._spool = Spool(folder.jobs)
        self._device_lock = JobLock(folder.lock_path)
        self._tuning = Tuning(folder.path, root)
        self._lock = threading.Lock()
        self._jobs: Dict[str, Job] = {}
        self._running: Optional[Job] = None
        self._thread: Optional[threading.Thread] = None
        self._ahead: Optional[Ahead] = None
        self._closed = False
        self._spool.sweep()
        self._restore_device()
        if persistent:
            self._restore()

    def start(self, params: Mapping[str, Any], body: Buffer, tensors: Any, token: str, host: str) -> str:
        """Checks everything that is cheap, takes the device, and starts the worker. Raises Fault."""
        checked = check_params(params)
        with self._lock:
            if self._closed:
                raise Fault("busy", "the agent is ending")
            lock_fd = self._device_lock.acquire(host)
            try:
                self._set_back()
                checked["files"] = {
                    role: self._folder.verified_file(sha256) for role, sha256 in checked["files"].items()
                }
                if checked["site"] is not None:
                    checked["site"] = sites.find(self._folder, checked["site"])
                record = Record(
                    os.urandom(6).hex(), checked["kind"], "running", rfc3339_now(), token, host, self._build,
                    os.getpid(), self._persistent, process_start_ticks(os.getpid()),
                )  # fmt: skip
                log_path = self._spool.create(record)
            except BaseException:
                os.close(lock_fd)
                raise
            job = Job(record)
            meta = {"id": 1, "method": "job", "params": checked, "tensors": tensors}
            request = Frame(FrameType.REQUEST, meta, body)
            if record.kind == "energy":
                job.worker = EnergyRun(request, log_path, lock_fd, job.on_progress, root=self._root)
            else:
                job.worker = Worker(request, log_path, lock_fd, job.on_progress)
            self._jobs[record.job] = job
            self._running = job
            self._thread = self._run_in_thread(checked, job, lock_fd)
        self._log.line("job %s: %s on %s for %s" % (record.job, record.kind, checked["backend"], host))
        return record.job

    def prepare(self, params: Mapping[str, Any]) -> None:
        """Starts the worker of a job that is about to come, unless a job runs. Raises Fault bad_request."""
        unknown = sorted(set(params) - PREPARE_PARAMS)
        if unknown:
            raise Fault("bad_request", "job.prepare: unknown params %s" % unknown)
        checked = {
            "backend": params.get("backend"),
            "threads": params.get("threads", 1),
            "affinity": params.get("affinity"),
            "site": params.get("site"),
        }
        _check_setting(checked)
        if checked["site"] is not None:
            checked["site"] = sites.find(self._folder, checked["site"])
        with self._lock:
            if self._closed or self._running is not None:
                return
            old, self._ahead = self._ahead, self._start_ahead(Setting.of(checked))
        if old is not None:
            old.dismiss()

    def _start_ahead(self, setting: Setting) -> Ahead:
        log_name = "%s%d-%s.log" % (LOG_PREFIX, os.getpid(), os.urandom(4).hex())
        log_path = os.path.join(self._folder.jobs, log_name)
        return Ahead(setting, lambda: spawn_ahead(setting, log_path))

    def _run_in_thread(self, params: Dict[str, Any], job: Job, lock_fd: int) -> threading.Thread:
        """Gives the job to the worker started ahead if it is of the job's setting, else to a new one.

        A job that others usually follow has the next worker started. The caller holds the lock.
        """
        ahead, self._ahead = self._ahead, None
        setting = Setting.of(params)
        suits = ahead is not None and params["kind"] != "energy" and ahead.setting == setting

        def supervise(started: Optional[Started] = None) -> None:
            self._supervise(job, params, lock_fd, started)

        if ahead is not None and suits and ahead.take(supervise):
            thread = ahead.thread
        else:
            if ahead is not None:
                ahead.dismiss()
            thread = threading.Thread(target=supervise, name="job", daemon=True)
            thread.start()
        if params["kind"] in FOLLOWED:
            self._ahead = self._start_ahead(setting)
        return thread

    def find(self, job: Any, token: str) -> Job:
        """The token's job of that id. Raises Fault no_job."""
        with self._lock:
            found = self._jobs.get(job) if isinstance(job, str) else None
        if found is None or found.record.token != token:
            raise Fault("no_job", "no job %.40r of this client" % (job,))
        return found

    def outcome(self, job: Job) -> Frame:
        """The finished job's RESPONSE or ERROR frame, from the spool where it lies there."""
        assert job.outcome is not None
        if job.outcome.meta.get("spooled"):
            try:
                return self._spool.load(job.record.job)
            except (OSError, WireError) as error:
                return error_frame(Fault("internal", "the spooled result cannot be read: %s" % error))
        return job.outcome

    def cancel(self, job: Job) -> None:
        """Kills a running job's worker and returns when it is gone; a finished job stays as it is."""
        if job.outcome is None and job.worker is not None:
            job.worker.stop(Fault("cancelled", "the job was cancelled"))
            job.wait_end()

    def acknowledge(self, job: Job) -> None:
        """Deletes a finished job and its spooled result. Raises Fault bad_request while it runs."""
        if job.outcome is None:
            raise Fault("bad_request", "job %s still runs: cancel it or wait for it" % job.record.job)
        with self._lock:
            self._jobs.pop(job.record.job, None)
        self._spool.remove(job.record.job)

    def records(self, token: str) -> List[Record]:
        """The token's jobs, oldest first."""
        with self._lock:
            found = [job.record for job in self._jobs.values() if job.record.token == token]
        return sorted(found, key=lambda record: (record.since, record.job))

    def running(self) -> Optional[Job]:
        """This core's running job."""
        with self._lock:
            return self._running

    def busy(self) -> Optional[Dict[str, Any]]:
        """Who holds the device, of this core or of another: {"by", "since"} or None."""
        return self._device_lock.holder()

    def require_idle(self) -> None:
        """Raises Fault busy while a job of this core runs."""
        running = self.running()
        if running is not None:
            holder = {"by": running.record.host, "since": running.record.since}
            raise Fault("busy", describe_busy(holder), detail=holder)

    def close(self) -> None:
        """Kills a running job, waits until it is gone, and removes what is not to be kept."""
        with self._lock:
            self._closed = True
            running, thread = self._running, self._thread
            ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.dismiss()
        if running is not None and running.worker is not None:
            running.worker.stop(Fault("cancelled", "the agent ended while the job ran"))
        if thread is not None:
            thread.join()
        if not self._persistent:
            for job in list(self._jobs):
                self._spool.remove(job)

    def _supervise(
        self, job: Job, params: Dict[str, Any], lock_fd: int, started: Optional[Started] = None
    ) -> None:
        state = "done"
        worker = job.worker
        assert worker is not None
        try:
            with self._tuning.governor(params["governor"], params["affinity"]) as governor:
                answer = worker.run(started) if isinstance(worker, Worker) else worker.run()
            answer.meta["result"]["governor"] = governor
            outcome = Frame(FrameType.RESPONSE, answer.meta, answer.body)
        except Fault as fault:
            state = "cancelled" if fault.code == "cancelled" else "failed"
            outcome = error_frame(fault)
        except Exception as error:
            state = "failed"
            outcome = error_frame(Fault("internal", "%s: %s" % (type(error).__name__, error)))
        finally:
            os.close(lock_fd)
        record = job.record._replace(state=state)
        if self._persistent:
            try:
                self._spool.save(record, outcome)
                outcome = Frame(outcome.type, {"spooled": True})
            except OSError as error:
                # Better in memory than lost; should the daemon die now, the job is reported as failed.
                self._log.line("job %s: cannot spool its result: %s" % (record.job, error))
        with self._lock:
            self._running = None
        self._log.line("job %s: %s" % (record.job, state))
        job.finish(record, outcome)

    def _restore_device(self) -> None:
        """Sets back what a core that was killed left changed, unless somebody's job runs."""
        if not self._tuning.is_changed:
            return
        with contextlib.suppress(Fault):  # whoever holds the device has set it back already
            lock_fd = self._device_lock.acquire("edgeflow")
            try:
                self._set_back()
            finally:
                os.close(lock_fd)

    def _set_back(self) -> None:
        for line in self._tuning.restore():
            self._log.line(line)

    def _restore(self) -> None:
        """Takes over the spooled jobs of this build's last daemon; what it left running has failed."""
        for record in self._spool.records():
            if not record.persistent or record.build != self._build:
                continue
            if record.state == "running":
                record = record._replace(state="failed")
                fault = Fault("internal", "the agent died while job %s ran: start it again" % record.job)
                self._spool.save(record, error_frame(fault))
            self._jobs[record.job] = Job(record, Frame(FrameType.RESPONSE, {"spooled": True}))


def error_frame(fault: Fault) -> Frame:
    """An ERROR frame yet without the id of its request."""
    return Frame(FrameType.ERROR, {"error": fault.to_meta()})


def check_params(params: Mapping[str, Any]) -> Dict[str, Any]:
    """A copy of job.start's params with every field there and of its type. Raises Fault naming the field."""
    unknown = sorted(set(params) - START_PARAMS)
    if unknown:
        raise Fault("bad_request", "job.start: unknown params %s" % unknown)
    checked: Dict[str, Any] = {
        "kind": params.get("kind"),
        "backend": params.get("backend"),
        "files": params.get("files", {}),
        "options": params.get("options", {}),
        "threads": params.get("threads", 1),
        "affinity": params.get("affinity"),
        "accelerator": params.get("accelerator", "cpu"),
        "limits": params.get("limits", {}),
        "plan": params.get("plan", {}),
        "site": params.get("site"),
        "governor": params.get("governor"),
    }
    if checked["kind"] not in KINDS:
        raise Fault("bad_request", "unknown job kind %.40r; known: %s" % (checked["kind"], " ".join(KINDS)))
    _check_setting(checked)
    if checked["accelerator"] not in ACCELERATORS:
        raise Fault(
            "unsupported_accelerator",
            "no accelerator %.40r here; this agent has: %s"
            % (checked["accelerator"], " ".join(ACCELERATORS)),
        )
    for name in ("files", "options", "limits", "plan"):
        if not isinstance(checked[name], dict):
            raise Fault("bad_request", "job.start: %s is not an object" % name)
    roles = REGISTRY[checked["backend"]].roles
    if sorted(checked["files"]) != sorted(roles):
        raise Fault(
            "bad_request",
            "%s takes the files %s, got %s" % (checked["backend"], sorted(roles), sorted(checked["files"])),
        )
    for name, value in checked["limits"].items():
        if name not in ("timeout_ms", "memory_bytes"):
            raise Fault("bad_request", "job.start: unknown limit %.40r" % (name,))
        if value is not None and (not _is_count(value) or value == 0):
            raise Fault("bad_request", "job.start: limit %s=%.40r" % (name, value))
    governor = checked["governor"]
    if governor is not None and not (isinstance(governor, str) and 0 < len(governor) <= MAX_GOVERNOR):
        raise Fault("bad_request", "job.start: governor is the name of one or null, got %.40r" % (governor,))
    _check_plan(checked["kind"], checked["plan"])
    return checked


def _check_setting(checked: Mapping[str, Any]) -> None:
    """What a worker must be started with (ahead.Setting). Raises Fault naming the field."""
    if checked["backend"] not in REGISTRY:
        raise Fault(
            "backend_missing",
            "this agent has no backend %.40r; it has: %s" % (checked["backend"], " ".join(REGISTRY)),
        )
    if not _is_count(checked["threads"]) or not 1 <= checked["threads"] <= MAX_THREADS:
        raise Fault("bad_request", "job.start: threads=%.40r" % (checked["threads"],))
    affinity = checked["affinity"]
    if affinity is not None and not (isinstance(affinity, list) and all(_is_count(cpu) for cpu in affinity)):
        raise Fault("bad_request", "job.start: affinity is a list of CPU numbers or null")


def _check_plan(kind: str, plan: Dict[str, Any]) -> None:
    if kind == "bench":
        Plan.from_meta(plan)
    elif kind == "energy":
        EnergyPlan.from_meta(plan)
    elif kind == "memory":
        if set(plan) != {"runs"} or not _is_count(plan["runs"]) or plan["runs"] < 1:
            raise Fault("bad_request", 'a memory job\'s plan is {"runs": at least 1}, got %.80r' % (plan,))
    elif plan:
        raise Fault("bad_request", "an infer job's plan is empty, got %.80r" % (plan,))


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
