"""A sweep from its plan to its document: begun or resumed, run, and summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.config.plan import (
    ZOO_PREFIX,
    PlanSource,
    SweepPlan,
    checked_executor,
    load_plan,
    plan_of_flags,
)
from edgeflow.errors import UsageError
from edgeflow.store import JobRow, Store, SweepBook, SweepRow, new_result_id
from edgeflow.sweep.crew import Crew
from edgeflow.sweep.documents import dropped_json, plan_json, sweep_json
from edgeflow.sweep.estimate import estimate
from edgeflow.sweep.events import EventFile, Listener, Teller
from edgeflow.sweep.lock import sweep_lock
from edgeflow.sweep.matrix import Cell, Matrix, expand, stand_ins
from edgeflow.sweep.preflight import known_facts, without_impossible
from edgeflow.sweep.reach import reached_by
from edgeflow.sweep.scheduler import Board, Job, Rules
from edgeflow.sweep.stages import Stages

if TYPE_CHECKING:
    from edgeflow.config.devices import Fleet
    from edgeflow.sweep.reach import Reach
    from edgeflow.sweep.request import SweepRequest
    from edgeflow.workspace import Workspace


def plan_document(request: SweepRequest, workspace: Workspace) -> dict[str, Any]:
    """What the plan comes to; contacts no device (schema edgeflow.sweep-plan/1).

    Raises UsageError; with dask:// also what keeps lab hosts from telling their devices.
    """
    plan, source = _plan_of(request, workspace)
    with reached_by(plan, workspace) as reach, Store.open(workspace.store_path) as store:
        matrix = _matrix(plan, reach.fleet, source, store)
        expected = estimate(matrix.cells, plan.repeats, plan.budget_s, store.elapsed())
    return plan_json(matrix, plan.repeats, expected, plan.digest)


def sweep_document(
    request: SweepRequest,
    workspace: Workspace,
    listeners: Sequence[Listener] = (),
    *,
    null_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Runs what a sweep still has to run (schema edgeflow.sweep/1). Failed jobs are in the document.

    Raises UsageError for a plan that cannot be, and what keeps results from being committed. After
    KeyboardInterrupt, kill -9 or a power cut the sweep can be resumed.
    """
    workspace.ensure_home()
    if request.events is not None:
        request = replace(request, events=workspace.cwd / request.events)
    with Store.open(workspace.store_path) as store:
        book = SweepBook(store)
        if request.resume is None:
            plan, source = _plan_of(request, workspace)
            with reached_by(plan, workspace) as reach:
                row, jobs = _begin(plan, source, reach, request, workspace, store)
                with sweep_lock(workspace.home, row.id):
                    book.begin(row, jobs)  # under its lock: nobody resumes it before we run it
                    return _run(row, reach, request, workspace, store, book, listeners, (), null_options)
        row = book.find(request.resume)
        with sweep_lock(workspace.home, row.id):
            notes = _check_unchanged(row, request, workspace)
            there, plan = _as_then(row, request, workspace)
            if request.retry_failed:
                book.reopen_failed(row.id)
            with reached_by(plan, there, remembered=row.matrix.get("fleet")) as reach:
                return _run(row, reach, request, there, store, book, listeners, notes, null_options)


def stored_document(sweep_id: str, workspace: Workspace) -> dict[str, Any]:
    """A sweep as the store has it (schema edgeflow.sweep/1). Raises UsageError for none and for several."""
    with Store.open(workspace.store_path) as store:
        book = SweepBook(store)
        return sweep_json(book.find(sweep_id).id, store, book)


def _begin(
    plan: SweepPlan,
    source: PlanSource,
    reach: Reach,
    request: SweepRequest,
    workspace: Workspace,
    store: Store,
) -> tuple[SweepRow, list[JobRow]]:
    fleet = reach.fleet
    matrix = _matrix(plan, fleet, source, store)
    if not matrix.cells:
        why = matrix.dropped[0].reason if matrix.dropped else "it names nothing"
        raise UsageError(f"no cell of this plan can run: {why}", hint="edgeflow sweep --dry-run lists them")
    row = SweepRow(
        id=new_result_id(),
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        name=plan.name,
        plan_path=None if request.plan is None else str((workspace.cwd / request.plan).resolve()),
        plan_digest=plan.digest,
        cwd=str(workspace.cwd.resolve()),
        devices_file=None if fleet.source is None else str(fleet.source.resolve()),
        plan=plan.to_json(),
        matrix={
            "dropped": [dropped_json(dropped) for dropped in matrix.dropped],
            "notes": list(matrix.notes),
            "file_digest": None if request.plan is None else _file_digest(workspace.cwd / request.plan),
            "priorities": matrix.priorities or {},
            "stand_ins": {name: list(others) for name, others in stand_ins(plan, fleet).items() if others},
            "fleet": reach.to_remember,
        },
        models={},
    )
    jobs = [
        JobRow(cell.id, repeat, position, cell.to_json(), "pending", cell.device)
        for repeat in range(1, plan.repeats + 1)
        for position, cell in enumerate(matrix.cells)
    ]
    return row, jobs


def _plan_of(request: SweepRequest, workspace: Workspace) -> tuple[SweepPlan, PlanSource]:
    flags = dict(request.flags)
    if request.executor is not None:
        flags["executor"] = request.executor
    if request.plan is not None:
        return load_plan(workspace.cwd / request.plan, flags)
    if "models" not in flags:
        raise UsageError(
            "a sweep needs a plan or --models", hint="edgeflow sweep PLAN.yaml, or --models zoo:ppocr-det,…"
        )
    return plan_of_flags(flags, workspace.cwd)


def _matrix(plan: SweepPlan, fleet: Fleet, source: PlanSource, store: Store) -> Matrix:
    for index, model in enumerate(plan.models):
        if not model.startswith(ZOO_PREFIX) and not Path(plan.model_argument(model)).is_file():
            raise source.error(("models", index), f"{model}: no such file")
    matrix = expand(plan, fleet, source)
    known = known_facts(store, fleet, {cell.device for cell in matrix.cells})
    return without_impossible(matrix, fleet, known, plan.agent)


def _check_unchanged(row: SweepRow, request: SweepRequest, workspace: Workspace) -> list[str]:
    """What the user should know before an earlier sweep goes on by the plan that it began with.

    Raises UsageError for another plan, and for a model whose file is another one now.
    """
    if request.flags:
        flag = next(iter(request.flags)).replace("_", "-")
        raise UsageError(
            f"--{flag}: a sweep that is resumed keeps its plan", hint="leave it out, or begin a new sweep"
        )
    plan = SweepPlan.from_json(row.plan)
    for model, sha256 in row.models.items():
        path = Path(plan.model_argument(model))
        if path.suffix == ".onnx" and path.is_file() and _sha256(path) != sha256:
            raise UsageError(
                f"{model}: is another model than when sweep {row.id} began", hint="begin a new sweep"
            )
    then = row.matrix["file_digest"]
    if request.plan is not None:
        now = _file_digest(workspace.cwd / request.plan)
        if now != then:
            raise UsageError(
                f"{request.plan}: is another plan ({now}) than that of sweep {row.id} ({then})",
                hint=f"edgeflow sweep --resume {row.id} goes on by the old one; or begin a new sweep",
            )
        return []
    if row.plan_path is None:
        return []
    path = Path(row.plan_path)
    try:
        if _file_digest(path) == then:
            return []
    except UsageError:
        return [f"{path} cannot be read any more; sweep {row.id} goes on by the plan that it began with"]
    return [f"{path} has changed; sweep {row.id} goes on by the plan that it began with"]


def _as_then(row: SweepRow, request: SweepRequest, workspace: Workspace) -> tuple[Workspace, SweepPlan]:
    """The folders and the plan that a sweep began with; by another executor, where that is asked for."""
    own_file = None if row.devices_file is None else Path(row.devices_file)
    there = replace(workspace, cwd=Path(row.cwd), devices_file=workspace.devices_file or own_file)
    plan = row.plan
    if request.executor is not None:
        try:
            plan = {**plan, "executor": checked_executor(request.executor)}
        except ValueError as error:
            raise UsageError(f"--executor: {error}") from None
    return there, SweepPlan.from_json(plan)


def _file_digest(path: Path) -> str:
    """Of a plan file alone, without flags. Raises UsageError."""
    return load_plan(path, {})[0].digest


def _run(
    row: SweepRow,
    reach: Reach,
    request: SweepRequest,
    workspace: Workspace,
    store: Store,
    book: SweepBook,
    listeners: Sequence[Listener],
    notes: Sequence[str],
    null_options: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """`workspace`: its folders are those that the sweep began in."""
    plan = SweepPlan.from_json(row.plan)
    jobs = book.jobs(row.id)
    board = _board(row, plan, reach.fleet, jobs)
    event_file = None if request.events is None else EventFile(request.events)
    teller = Teller([*listeners, *([event_file] if event_file else [])])
    counts = {status: sum(job.status == status for job in jobs) for status in ("ok", "failed", "pending")}
    teller.tell(
        "sweep_started",
        id=row.id,
        resumed=request.resume is not None,
        devices={name: board.left(name) for name in board.devices},
        counts=counts,
        dropped=list(row.matrix["dropped"]) if request.resume is None else [],
    )
    for note in (*(row.matrix["notes"] if request.resume is None else ()), *reach.notes, *notes):
        teller.tell("note", text=note)
    stages = Stages(row.id, plan, reach.hands, workspace, store, book, null_options=null_options)
    try:
        Crew(board, stages, teller, conversions=plan.conversions).run()
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        teller.tell("sweep_stopped", id=row.id, reason="interrupted" if interrupted else str(error))
        raise
    document = sweep_json(row.id, store, book, board.given_up())
    teller.tell("sweep_finished", id=row.id, status=document["status"], counts=document["counts"])
    if event_file is not None:
        with event_file:
            event_file.check()
    return document


def _board(row: SweepRow, plan: SweepPlan, fleet: Fleet, jobs: Sequence[JobRow]) -> Board:
    """What is missing, each job at its own device again."""
    priorities, waiting = row.matrix["priorities"], []
    for job in jobs:
        if job.status != "pending":
            continue
        cell = Cell(**job.cell)
        if cell.device not in fleet.devices:
            where = fleet.source or "devices.yaml"
            raise UsageError(
                f"sweep {row.id}: its device '{cell.device}' is not in {where} any more",
                hint="add it again, or begin a new sweep",
            )
        order = (-priorities.get(cell.id, 0), job.repeat, job.position)
        waiting.append(Job(cell, job.repeat, order, cell.device))
    rules = Rules(
        attempts=plan.attempts,
        busy_patience_s=plan.busy_patience_s,
        rest_s=plan.cooldown.seconds,
        cool_below_c=plan.cooldown.below_c,
        rest_at_most_s=plan.cooldown.at_most_s,
    )
    equal = {
        name: [other for other in others if other in fleet.devices]
        for name, others in row.matrix["stand_ins"].items()
    }
    return Board(waiting, rules=rules, stand_ins=equal)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
