"""What was measured: lists, histories, comparisons, exports, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgeflow.workspace import Workspace

Document = dict[str, Any]


def list_results(
    workspace: Workspace,
    *,
    sweep: str | None = None,
    device: str | None = None,
    runtime: str | None = None,
    model: str | None = None,
    limit: int | None = None,
) -> Document:
    """Stored results, the newest first (schema edgeflow.result-list/1)."""
    from edgeflow.store import documents

    return documents.list_document(workspace.store_path, _filters(device, runtime, model, sweep), limit)


def show_result(result_id: str, workspace: Workspace) -> Document:
    """One result whole, with its raw samples (schema edgeflow.result/1)."""
    from edgeflow.store import documents

    return documents.show_document(workspace.store_path, result_id)


def show_sweep(sweep_id: str, workspace: Workspace) -> Document:
    """A sweep as the store has it, by id, the beginning of one, or "last" (schema edgeflow.sweep/1)."""
    from edgeflow.sweep import sweep as sweeps

    return sweeps.stored_document(sweep_id, workspace)


def result_history(result_id: str, workspace: Workspace, *, limit: int = 30) -> Document:
    """The results of one cell over time, with what changed between them (schema edgeflow.history/1)."""
    from edgeflow.compare import history

    return history.history_document(result_id, workspace.store_path, limit=limit)


def compare(
    a: str,
    b: str,
    workspace: Workspace,
    *,
    fail_on: float | None = None,
    allow_missing: bool = False,
    require_valid: bool = False,
) -> Document:
    """Medians of the same cells of two results, sweeps or exported files (schema edgeflow.compare/1)."""
    from edgeflow.compare import documents

    return documents.compare_document(
        a,
        b,
        workspace.store_path,
        workspace.cwd,
        fail_on=fail_on,
        allow_missing=allow_missing,
        require_valid=require_valid,
    )


def export_results(
    workspace: Workspace,
    file_format: str,
    *,
    sweep: str | None = None,
    device: str | None = None,
    runtime: str | None = None,
    model: str | None = None,
    limit: int | None = None,
) -> str:
    """Results as CSV (a row each) or JSON (schema edgeflow.results/1, with raw samples)."""
    from edgeflow.store import documents

    filters = _filters(device, runtime, model, sweep)
    return documents.export_text(workspace.store_path, file_format, filters, limit)


def export_parquet(
    workspace: Workspace,
    output: Path,
    *,
    sweep: str | None = None,
    device: str | None = None,
    runtime: str | None = None,
    model: str | None = None,
    limit: int | None = None,
) -> None:
    """Results as a Parquet file, a row each with its raw samples. Raises ToolMissingError without pyarrow."""
    from edgeflow.store import parquet

    parquet.export(workspace.store_path, output, _filters(device, runtime, model, sweep), limit)


def report(
    workspace: Workspace,
    *,
    sweep: str | None = None,
    results: Sequence[str] = (),
    everything: bool = False,
    output: Path | None = None,
) -> Document:
    """Writes a sweep (the newest unless named), named results or all as one HTML file.

    Schema edgeflow.report-file/1.
    """
    from edgeflow.report import report as reports

    return reports.report_file(
        workspace.store_path,
        workspace.cwd,
        sweep=sweep,
        results=results,
        everything=everything,
        output=output,
    )


def _filters(
    device: str | None, runtime: str | None, model: str | None, sweep: str | None
) -> Mapping[str, str]:
    given = {"device": device, "runtime": runtime, "model": model, "sweep": sweep}
    return {name: value for name, value in given.items() if value is not None}
