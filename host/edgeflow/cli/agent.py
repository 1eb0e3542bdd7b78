"""`edgeflow agent`: the agent's life on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow.cli.context import options_of
from edgeflow.cli.options import AgentOption, CompilerOption, DeviceOption, kind_of

app = typer.Typer(
    help="The agent on a device: install it, run it as a daemon, remove it.", no_args_is_help=True
)


@app.command("build")
def build(
    context: typer.Context,
    target: Annotated[str, typer.Option("--target", help="What to build for: edgeflow toolchain list.")],
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="And this runtime's worker; may be repeated.")
    ] = None,
    layers: Annotated[
        str, typer.Option(help="all, or common: fewer layers of ncnn, in a quarter of the time.")
    ] = "all",
    compiler: CompilerOption = "auto",
    runtime_dir: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime-dir",
            metavar="NAME=PLACE",
            help="A runtime from a folder, an archive or the URL of an archive of yours.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Copy the programs there.")] = None,
) -> None:
    """Build the native agent, and workers, for a target. What was built before is not built again.

    \b
    Examples:
      edgeflow agent build --target android-arm64-static --runtime ncnn
      edgeflow agent build --target linux-armv7 --runtime ncnn --output out/
      edgeflow agent build --target linux-aarch64 -r paddlelite --runtime-dir paddlelite=lite.tar.gz
    """
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_build(
            target,
            runtime or (),
            layers=layers,
            compiler=compiler,
            runtime_dirs=runtime_dir or (),
            output=output,
            workspace=options.workspace(),
            progress=progress,
        )
    options.show(document, render_agent.agent_build_view)


@app.command("bundle")
def bundle(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")],
    target: Annotated[
        list[str] | None, typer.Option("--target", help="For this target; may be repeated. Default: all.")
    ] = None,
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="This runtime; may be repeated. Default: all.")
    ] = None,
) -> None:
    """Build every target into one archive with checksums, for hosts that have no compiler.

    Such a host takes it from EDGEFLOW_AGENT_BUNDLE, or from the folder agent-bundle in EDGEFLOW_HOME.
    """
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_bundle(target or (), runtime or (), output, options.workspace(), progress)
    options.show(document, render_agent.agent_bundle_view)


@app.command("install")
def install(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="Also bring this runtime; may be repeated.")
    ] = None,
    service: Annotated[bool, typer.Option("--service", help="And start the daemon as a service.")] = False,
) -> None:
    """Bring the agent, and runtimes that the device lacks, ahead of the first deploy."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_install(
            device, runtime or (), options.workspace(), progress, agent=kind_of(agent)
        )
        if service:
            started = api.agent_start(
                device, options.workspace(), progress, service=True, agent=kind_of(agent)
            )
            document["service"] = started["service"]
    options.show(document, render_agent.agent_install_view)


@app.command("start")
def start(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    service: Annotated[
        bool, typer.Option("--service", help="As a systemd user unit, so that it comes back after a reboot.")
    ] = False,
) -> None:
    """Start the daemon; deploy then uses it. Says so if it runs already."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_start(
            device, options.workspace(), progress, service=service, agent=kind_of(agent)
        )
    options.show(document, render_agent.agent_view)


@app.command("status")
def status(context: typer.Context, device: DeviceOption = "local", agent: AgentOption = None) -> None:
    """Tell whether the daemon runs, its version, its runtimes and who uses it."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_status(device, options.workspace(), progress, agent=kind_of(agent))
    options.show(document, render_agent.agent_view)


@app.command("stop")
def stop(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    force: Annotated[bool, typer.Option("--force", help="Stop it even while a job runs.")] = False,
) -> None:
    """Stop the daemon. Refused while a job runs, unless --force."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_stop(device, options.workspace(), progress, force=force, agent=kind_of(agent))
    options.show(document, render_agent.agent_view)


@app.command("logs")
def logs(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10000, help="How many of the last.")] = 50,
) -> None:
    """Print the daemon's last log lines."""
    from edgeflow import api
    from edgeflow.cli import console

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_logs(device, lines, options.workspace(), progress, agent=kind_of(agent))
    if options.as_json:
        console.emit_json(document)
    else:
        for line in document["lines"]:
            console.emit_plain(line)


@app.command("prune")
def prune(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    max_mib: Annotated[int, typer.Option("--max-mib", min=0, help="Keep the work folder below this.")] = 2048,
) -> None:
    """Remove what was used longest ago on the device; deploy does it by itself at 2 GiB."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_prune(device, max_mib << 20, options.workspace(), progress, agent=kind_of(agent))
    options.show(document, render_agent.agent_prune_view)


@app.command("uninstall")
def uninstall(
    context: typer.Context,
    device: DeviceOption = "local",
    agent: AgentOption = None,
    force: Annotated[bool, typer.Option("--force", help="Even while a job runs.")] = False,
) -> None:
    """Stop the daemon and its service, and remove everything that edgeflow put on the device."""
    from edgeflow import api
    from edgeflow.cli import render_agent

    options = options_of(context)
    with options.progress() as progress:
        document = api.agent_uninstall(
            device, options.workspace(), progress, force=force, agent=kind_of(agent)
        )
    options.show(document, render_agent.agent_uninstall_view)
