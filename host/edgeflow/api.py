"""What Python users import, and all that the cli calls. Each function returns a JSON-able document.

Every function raises EdgeflowError with a documented exit code (edgeflow.errors) and never prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.deploy.request import DeployRequest
from edgeflow.progress import Progress, Silent
from edgeflow.sweep.request import SweepRequest

if TYPE_CHECKING:
    from edgeflow.config.devices import AgentKind
    from edgeflow.deploy.result import DeployResult
    from edgeflow.sweep.events import Listener
    from edgeflow.workspace import Workspace

__all__ = [
    "DeployRequest",
    "SweepRequest",
    "agent_build",
    "agent_bundle",
    "agent_install",
    "agent_logs",
    "agent_prune",
    "agent_start",
    "agent_status",
    "agent_stop",
    "agent_uninstall",
    "check_devices",
    "compare",
    "convert",
    "deploy",
    "device_facts",
    "doctor",
    "export_parquet",
    "export_results",
    "init_recipe",
    "lab_authorize",
    "lab_down",
    "lab_power_cut",
    "lab_reboot",
    "lab_status",
    "lab_up",
    "list_devices",
    "list_results",
    "report",
    "result_history",
    "run",
    "scan_devices",
    "show_result",
    "show_sweep",
    "sweep",
    "sweep_plan",
    "toolchain_doctor",
    "toolchain_install",
    "toolchain_list",
    "worker",
    "zoo_list",
    "zoo_path",
    "zoo_pull",
]

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
) -> Document:
    """A verified artifact in the cache, copied to `output` if given (schema edgeflow.artifact/1)."""
    from edgeflow.deploy import export

    return export.convert_document(model, runtime, precision, output, workspace, progress)


def init_recipe(model: Path, output: Path, *, force: bool, workspace: Workspace) -> Document:
    """Writes a recipe for a model from what its file says (schema edgeflow.init/1)."""
    from edgeflow.deploy import starter

    return starter.init_document(model, output, force, workspace)


def list_devices(workspace: Workspace) -> Document:
    """The fleet, contacted by nobody (schema edgeflow.devices/1)."""
    from edgeflow.devices import documents

    return documents.list_document(workspace)


def check_devices(names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What is wrong with each device, and its cure (schema edgeflow.check/1)."""
    from edgeflow.devices import documents

    return documents.check_document(names, workspace, progress)


def scan_devices(workspace: Workspace, *, write: bool) -> Document:
    """Devices within reach as entries for devices.yaml, added to it if asked (schema edgeflow.scan/1)."""
    from edgeflow.devices import scan

    return scan.scan_document(workspace, write=write)


def lab_up(names: Sequence[str], workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """Starts virtual devices, the usual ones unless named (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    workspace.ensure_home()
    return lab.up(names, workspace.home, progress)


def lab_down(names: Sequence[str], workspace: Workspace) -> Document:
    """Stops virtual devices, all unless named (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.down(names, workspace.home)


def lab_status(workspace: Workspace) -> Document:
    """Which virtual devices there are and which run (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.status(workspace.home)


def lab_reboot(name: str, workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """Resets a virtual machine and waits until it is back (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.reboot(name, workspace.home, progress)


def lab_power_cut(name: str, workspace: Workspace) -> Document:
    """Takes a virtual machine's power away; `lab_up` gives it back (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.power_cut(name, workspace.home)


def lab_authorize(name: str, workspace: Workspace) -> Document:
    """Says yes on a virtual phone that asks for this computer's key (schema edgeflow.lab/1)."""
    from edgeflow.lab import lab

    return lab.authorize(name, workspace.home)


def device_facts(name: str, workspace: Workspace) -> Document:
    """What one device tells of itself (schema edgeflow.facts/1)."""
    from edgeflow.devices import documents

    return documents.facts_document(name, workspace)


def agent_build(
    target: str,
    runtimes: Sequence[str],
    *,
    layers: str = "all",
    compiler: str = "auto",
    runtime_dirs: Sequence[str] = (),
    output: Path | None = None,
    workspace: Workspace,
    progress: Progress = _SILENT,
) -> Document:
    """The native agent and workers for a target (schema edgeflow.agent-build/1)."""
    from edgeflow.toolchain import documents

    return documents.build_document(
        target, runtimes, layers, compiler, runtime_dirs, output, workspace, progress
    )


def agent_bundle(
    targets: Sequence[str],
    runtimes: Sequence[str],
    folder: Path,
    workspace: Workspace,
    progress: Progress = _SILENT,
) -> Document:
    """Agents for many targets in one checksummed archive (schema edgeflow.agent-bundle-build/1)."""
    from edgeflow.toolchain import documents

    return documents.bundle_document(targets, runtimes, folder, workspace, progress)


def toolchain_list(workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What the native agent is built from, and the converters' tools (schema edgeflow.toolchain/1)."""
    from edgeflow.toolchain import documents

    return documents.list_document(workspace, progress)


def toolchain_install(
    targets: Sequence[str],
    runtimes: Sequence[str],
    compiler: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    tools: Sequence[str] = (),
) -> Document:
    """Brings what building needs and is not there, or the named converters' tools.

    Schema edgeflow.toolchain-install/1.
    """
    from edgeflow.toolchain import documents

    return documents.install_document(tools, targets, runtimes, compiler, workspace, progress)


def toolchain_doctor(workspace: Workspace, progress: Progress = _SILENT) -> Document:
    """What building and converting need, part by part (schema edgeflow.doctor/1)."""
    from edgeflow.toolchain import documents

    return documents.doctor_document(workspace, progress)


def agent_install(
    device: str,
    runtimes: Sequence[str],
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """Brings the agent, and runtimes that the device lacks (schema edgeflow.agent-install/1)."""
    from edgeflow.agentlink import daemon

    return daemon.install(device, runtimes, workspace, progress, wanted=agent)


def agent_start(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    service: bool = False,
    agent: AgentKind | None = None,
) -> Document:
    """Starts the daemon unless it runs; as a systemd user unit if asked (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.start(device, workspace, progress, service=service, wanted=agent)


def agent_prune(
    device: str,
    quota_bytes: int,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """Removes what was used longest ago there until the quota holds (schema edgeflow.agent-prune/1)."""
    from edgeflow.agentlink import daemon

    return daemon.prune(device, quota_bytes, workspace, progress, wanted=agent)


def agent_uninstall(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    force: bool,
    agent: AgentKind | None = None,
) -> Document:
    """Takes everything of edgeflow off the device (schema edgeflow.agent-uninstall/1)."""
    from edgeflow.agentlink import daemon

    return daemon.uninstall(device, workspace, progress, force=force, wanted=agent)


def agent_status(
    device: str, workspace: Workspace, progress: Progress = _SILENT, *, agent: AgentKind | None = None
) -> Document:
    """Whether the daemon runs, and who uses it (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.status(device, workspace, progress, wanted=agent)


def agent_stop(
    device: str,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    force: bool,
    agent: AgentKind | None = None,
) -> Document:
    """Stops the daemon; refused while a job runs unless forced (schema edgeflow.agent/1)."""
    from edgeflow.agentlink import daemon

    return daemon.stop(device, workspace, progress, force=force, wanted=agent)


def agent_logs(
    device: str,
    lines: int,
    workspace: Workspace,
    progress: Progress = _SILENT,
    *,
    agent: AgentKind | None = None,
) -> Document:
    """The daemon's last log lines (schema edgeflow.logs/1)."""
    from edgeflow.agentlink import daemon

    return daemon.logs(device, lines, workspace, progress, wanted=agent)


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


def compare(
    a: str, b: str, workspace: Workspace, *, fail_on: float | None = None, allow_missing: bool = False
) -> Document:
    """Medians of the same cells of two results, sweeps or exported files (schema edgeflow.compare/1)."""
    from edgeflow.compare import documents

    return documents.compare_document(
        a, b, workspace.store_path, workspace.cwd, fail_on=fail_on, allow_missing=allow_missing
    )


def result_history(result_id: str, workspace: Workspace, *, limit: int = 30) -> Document:
    """The results of one cell over time, with what changed between them (schema edgeflow.history/1)."""
    from edgeflow.compare import history

    return history.history_document(result_id, workspace.store_path, limit=limit)


def show_sweep(sweep_id: str, workspace: Workspace) -> Document:
    """A sweep as the store has it, by id, the beginning of one, or "last" (schema edgeflow.sweep/1)."""
    from edgeflow.sweep import sweep as sweeps

    return sweeps.stored_document(sweep_id, workspace)


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


def doctor(workspace: Workspace) -> Document:
    """Whether this installation can work, part by part (schema edgeflow.doctor/1)."""
    from edgeflow.deploy import health

    return health.doctor_document(workspace)


def _filters(
    device: str | None, runtime: str | None, model: str | None, sweep: str | None
) -> Mapping[str, str]:
    given = {"device": device, "runtime": runtime, "model": model, "sweep": sweep}
    return {name: value for name, value in given.items() if value is not None}
