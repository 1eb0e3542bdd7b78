"""From a model to its figures: deploy, sweep, run, convert, and the zoo that models come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeflow.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgeflow.deploy.request import DeployRequest
    from edgeflow.deploy.result import DeployResult
    from edgeflow.progress import Progress
    from edgeflow.sweep.events import Listener
    from edgeflow.sweep.request import SweepRequest
    from edgeflow.workspace import Workspace

Document = dict[str, Any]
_SILENT = Silent()


def deploy(request: DeployRequest, workspace: Workspace, progress: Progress = _SILENT) -> DeployResult:
    """The main job: convert, run on the device, check its answers there, measure, store."""
    from edgeflow.deploy import pipeline

    return pipeline.deploy(request, workspace, progress)


def sweep(request: SweepRequest, workspace: Workspace, listeners: Sequence[Listener] = ()) -> Document:
    """Runs a sweep, or what is missing of one (schema edgeflow.sweep/1). A job that fails is in the document,
    not an exception; `listeners` are told what happens.
    """
    from edgeflow.sweep import sweep as sweeps

    return sweeps.sweep_document(request, workspace, listeners)


def sweep_plan(request: SweepRequest, workspace: Workspace) -> Document:
    """What a plan comes to: cells, those left out, an estimate (schema edgeflow.sweep-plan/1)."""
    from edgeflow.sweep import sweep as sweeps

    return sweeps.plan_document(request, workspace)


def worker(
    executor: str, names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT, *, port: int = 0
) -> Document:
    """Offers this host's devices to the Dask scheduler at dask://HOST:PORT until a signal ends it (schema
    edgeflow.worker/1).
    """
    from edgeflow.sweep.cluster import worker as lab_host

    return lab_host.serve(executor, names, workspace, progress, port=port)


def inspect(path: Path, workspace: Workspace) -> Document:
    """What is in a model file, or in the files of an artifact's folder (schema edgeflow.inspect/1)."""
    from edgeflow.deploy import inspection

    return inspection.inspect_document(path, workspace)


def run(
    request: DeployRequest,
    inputs: Sequence[str],
    *,
    output: Path | None,
    workspace: Workspace,
    progress: Progress = _SILENT,
) -> Document:
    """Answers of the device for given inputs, each FILE or NAME=FILE (schema edgeflow.run/1)."""
    from edgeflow.deploy import answers

    return answers.run_document(request, inputs, output, workspace, progress)


def convert(
    model: str | None,
    *,
    runtime: str,
    precision: str,
    output: Path | None,
    workspace: Workspace,
    progress: Progress = _SILENT,
    options: Mapping[str, Any] | None = None,
    explain: bool = False,
    trust: bool = False,
    shapes: tuple[str, ...] = (),
) -> Document:
    """A verified artifact in the cache, copied to `output` if given (schema edgeflow.artifact/1).

    With `explain`, the NumericsError of a product that disagrees has an `explanation` that names the node to
    blame (schema edgeflow.explanation/1).
    """
    from edgeflow.deploy import export

    return export.convert_document(
        model,
        runtime,
        precision,
        output,
        workspace,
        progress,
        options,
        explain=explain,
        trust=trust,
        shapes=shapes,
    )


def coverage(
    suite: str,
    *,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    workspace: Workspace,
    progress: Progress = _SILENT,
    bare: bool = False,
    only: Sequence[str] = (),
    jobs: int = 0,
    limit_s: float = 60.0,
) -> Document:
    """What each runtime takes of a suite, and what of it right (schema edgeflow.coverage/1)."""
    from edgeflow.deploy.coverage import coverage_document

    return coverage_document(
        suite, runtimes, precisions, workspace, progress, bare=bare, only=only, jobs=jobs, limit_s=limit_s
    )


def init_recipe(model: Path, output: Path, *, force: bool, workspace: Workspace) -> Document:
    """Writes a recipe for a model from what its file says (schema edgeflow.init/1)."""
    from edgeflow.deploy import starter

    return starter.init_document(model, output, force, workspace)


def zoo_list(workspace: Workspace) -> Document:
    """The models of the zoo (schema edgeflow.zoo/1)."""
    from edgeflow.zoo import documents

    return documents.list_document(workspace.home)


def zoo_pull(names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """Fetches models by name, or "all" (schema edgeflow.zoo/1)."""
    from edgeflow.zoo import documents

    workspace.ensure_home()
    return documents.pull_document(names, workspace.home, progress.step)


def zoo_path(name: str, workspace: Workspace) -> Document:
    """Where a pulled model is (schema edgeflow.zoo-path/1)."""
    from edgeflow.zoo import documents

    return documents.path_document(name, workspace.home)
