"""What `agent`, `toolchain` and `doctor` tell, in tables and lines: pure functions of what --json prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from edgeflow.cli.tables import new_table, state_text
from edgeflow.cli.units import bytes_text

Document = Mapping[str, Any]


def agent_view(document: Document) -> RenderableType:
    """The daemon of one device."""
    if not document["running"]:
        return Text(
            f"{document['device']}: " + ("daemon stopped" if document["stopped"] else "no daemon runs")
        )
    agent = document["agent"]
    build = f"{agent['kind']} {agent['version']} ({agent['build']})"
    runs = "runs already" if document.get("already") else "runs"
    lines = [f"{document['device']}: daemon {build} {runs}, pid {document['pid']}"]
    for name, backend in document["backends"].items():
        if name == "null":
            continue  # for tests and overhead; nobody deploys to it
        state = backend["version"] if backend["available"] else f"not available: {backend['reason']}"
        lines.append(f"  {name}  {state}")
    if not all(backend["available"] for backend in document["backends"].values()):
        lines.append("  (a deploy brings a runtime that is missing, where there is a package for the device)")
    busy = document["busy"]
    lines.append(f"  busy: {busy['by']} since {busy['since']}" if busy else "  idle")
    return Text("\n".join(lines))


def agent_build_view(document: Document) -> RenderableType:
    """What was built, where it lies, how large it is."""
    state = "already built" if document["agent"]["cached"] else "built"
    lines = [f"{document['target']}: agent {document['build']}, {document['compiler']['label']}"]
    lines.append(
        f"  agent  {bytes_text(document['agent']['size_bytes'])}  {state}  {document['agent']['path']}"
    )
    for runtime, worker in document["workers"].items():
        state = "already built" if worker["cached"] else "built"
        layers = f", {worker['layers']} layers" if worker["layers"] else ""
        lines.append(f"  {runtime} {worker['version']}{layers}  {state}")
        lines += [
            f"    {file['name']}  {bytes_text(file['size_bytes'])}  {file['path']}"
            for file in worker["files"]
        ]
    return Text("\n".join(lines))


def agent_bundle_view(document: Document) -> RenderableType:
    """An archive of agents, and what is in it."""
    lines = [f"{document['archive']}  {bytes_text(document['size_bytes'])}"]
    lines.append(f"  SHA-256 {document['sha256']}")
    for name, target in document["targets"].items():
        workers = [f"{runtime} {worker['version']}" for runtime, worker in target["workers"].items()]
        lines.append(f"  {name}  agent {target['build']}  {', '.join(workers)}")
    return Text("\n".join(lines))


def toolchain_view(document: Document) -> RenderableType:
    """Targets and runtimes of the native agent, and the tools of converters."""
    targets = new_table("target", "compiler", "try")
    for row in document["targets"]:
        targets.add_row(row["target"], row["compiler"] or state_text("missing"), row["fix"])
    runtimes = new_table("runtime", "version", "licence", "targets", "yours to bring")
    for row in document["runtimes"]:
        yours = row["brought"] or row["bring"] or ""
        runtimes.add_row(row["runtime"], row["version"], row["licence"], ", ".join(row["targets"]), yours)
    tools = new_table("tool", "what it does", "Python", "disk", "state", "try")
    for row in document["tools"]:
        python = f"{row['python'][0]} to {row['python'][-1]}"
        state = state_text("ready" if row["ready"] else "missing")
        tools.add_row(row["tool"], row["what"], python, f"{row['disk_mb']} MB", state, row["fix"])
    where = f"builds in {document['builds']}; bundle: {document['bundle'] or 'none'}"
    return Group(targets, Text(""), runtimes, Text(""), tools, Text(""), Text(where))


def toolchain_install_view(document: Document) -> RenderableType:
    """What was brought, and all that is there now."""
    lines = [f"brought {what}" for what in document["brought"]] or ["nothing was missing"]
    return Text("\n".join([*lines, *(f"  {what}" for what in document["there"])]))


def agent_install_view(document: Document) -> RenderableType:
    """What was brought to a device."""
    transfer = document["transfer"]
    lines = [f"{document['device']}: {document['kind']} agent {document['build']} in {document['work_dir']}"]
    for runtime, site in document["sites"].items():
        lines.append(f"  {runtime}  " + (f"brought, site {site}" if site else "the device has its own"))
    pushed, there = transfer["pushed_bytes"] / 1e6, transfer["skipped_bytes"] / 1e6
    lines.append(f"  pushed {pushed:.1f} MB, {there:.1f} MB were there")
    if document.get("service"):
        lines.append(f"  service {document['service']}")
    return Text("\n".join(lines))


def agent_prune_view(document: Document) -> RenderableType:
    """What was removed from a device's work folder."""
    device, kept = document["device"], document["kept_bytes"] / 1e6
    if document["busy"] is not None:
        busy = document["busy"]
        return Text(f"{device}: nothing removed, {busy['by']} runs a job since {busy['since']}")
    freed = document["freed_bytes"] / 1e6
    return Text(f"{device}: removed {len(document['removed'])} ({freed:.1f} MB), {kept:.1f} MB remain")


def agent_uninstall_view(document: Document) -> RenderableType:
    """What is left on a device."""
    device, work_dir = document["device"], document["work_dir"]
    if not document["was_there"]:
        return Text(f"{device}: nothing of edgeflow in {work_dir}")
    if document["left"]:
        return Text(
            f"{device}: {work_dir} emptied of edgeflow; not ours, left: {', '.join(document['left'])}"
        )
    return Text(f"{device}: {work_dir} removed")


def doctor_view(document: Document) -> RenderableType:
    """Each part of the installation, and the command that mends it."""
    table = new_table("part", "state", "what", "try")
    for check in document["checks"]:
        absent = "optional" if check["optional"] else "missing"
        state = state_text("ready" if check["ready"] else absent)
        table.add_row(check["name"], state, check["what"], check["fix"])
    return table
