"""`edgeflow worker`: a Dask worker that offers the devices of this host's devices.yaml."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING, Any

from edgeflow.config.devices import ALL, LOCAL, load_fleet
from edgeflow.errors import DeviceError, UsageError
from edgeflow.sweep.cluster.dask import (
    distributed,
    edition,
    encrypted,
    host_and_port,
    resource,
    scheduler_address,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeflow.config.devices import DeviceSpec, Fleet
    from edgeflow.progress import Progress
    from edgeflow.sweep.cluster.lab_host import LabHost
    from edgeflow.workspace import Workspace

_AGAIN_S = 1.0  # between two looks for a scheduler that is not there
_CLOSE_S = 5.0
_TO_OTHERS = 2  # threads beside one a device: to receive files, to be asked


def serve(
    executor: str, names: Sequence[str], workspace: Workspace, progress: Progress, *, port: int = 0
) -> dict[str, Any]:
    """Offers devices until a signal ends it (schema edgeflow.worker/1). A scheduler that is not there, or
    goes away, is waited for.

    Raises UsageError, ToolMissingError, DeviceError for an address that means nothing; KeyboardInterrupt.
    """
    dask = distributed()
    fleet = load_fleet(workspace.devices_file, workspace.cwd, workspace.home)
    devices = offered(fleet, names)
    workspace.ensure_home()
    from edgeflow.sweep.cluster.lab_host import LabHost

    host = LabHost(devices, fleet, workspace, progress.step)
    source = fleet.source or "no devices.yaml"
    listed = ", ".join(spec.name for spec in devices)
    progress.step(f"{edition()} offers {listed} ({source}) to {scheduler_address(executor)}")
    if not encrypted():
        progress.note("without TLS, whoever reaches the scheduler runs programs here (docs/scaling.md)")
    interrupted = asyncio.run(_serve(dask, executor, host, workspace, progress, port))
    host.close()
    if interrupted:
        raise KeyboardInterrupt
    return {
        "schema": "edgeflow.worker/1",
        "scheduler": scheduler_address(executor),
        "devices": [spec.name for spec in devices],
        "jobs": host.jobs,
    }


def offered(fleet: Fleet, names: Sequence[str]) -> list[DeviceSpec]:
    """The devices of these names and tags; for none all but `local`, which every host has.

    Raises UsageError.
    """
    if names:
        return fleet.select(names)
    devices = [spec for spec in fleet.select(ALL) if spec.name != LOCAL]
    if not devices:
        raise UsageError(
            "this host has no devices to offer",
            hint="list them in devices.yaml ('edgeflow devices scan --write'), or name --devices local",
        )
    return devices


async def _serve(
    dask: Any, executor: str, host: LabHost, workspace: Workspace, progress: Progress, port: int
) -> bool:
    """Until a signal; whether that was Ctrl-C."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    signals: list[int] = []

    def end(number: int) -> None:
        signals.append(number)
        host.stop()
        over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    address = _own_address(executor)
    ended = asyncio.create_task(over.wait())
    while not over.is_set():
        answers = asyncio.create_task(_until_it_answers(executor, progress))
        await asyncio.wait({answers, ended}, return_when=asyncio.FIRST_COMPLETED)
        answers.cancel()
        if over.is_set():
            break
        worker = dask.Worker(
            scheduler_address(executor),
            nthreads=len(host.devices) + _TO_OTHERS,
            resources={resource(spec.name): 1 for spec in host.devices},
            host=address,
            port=port,
            dashboard_address=f"{address}:0",  # of its health page: where it listens itself, not everywhere
            local_directory=str(workspace.home / "dask"),
            memory_limit=None,  # what a device needs is not this process's memory
            plugins=(host,),
        )
        joined = asyncio.create_task(_joined(worker, executor, progress))
        await asyncio.wait({joined, ended}, return_when=asyncio.FIRST_COMPLETED)
        joined.cancel()
        await worker.close(timeout=_CLOSE_S)
        if joined.done() and not joined.cancelled() and (error := joined.exception()) is not None:
            raise DeviceError(f"{executor}: Dask's worker cannot start: {error}") from error
        if not over.is_set():
            progress.note(f"{executor}: the scheduler is gone")
    return signals[0] == signal.SIGINT


async def _until_it_answers(executor: str, progress: Progress) -> None:
    host, port = host_and_port(executor)
    told = False
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            if not told:
                progress.note(f"{executor}: no scheduler answers yet; waits for it")
            told = True
            await asyncio.sleep(_AGAIN_S)
        else:
            writer.close()
            return


async def _joined(worker: Any, executor: str, progress: Progress) -> None:
    await worker
    progress.step(f"joined {executor} as {worker.address}")
    await worker.finished()


def _own_address(executor: str) -> str:
    """This host's address on the way to the scheduler: the only one that the worker listens on."""
    host, port = host_and_port(executor)
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)  # UDP: nothing is sent
            return str(probe.getsockname()[0])
    except OSError as error:
        raise DeviceError(f"{executor}: {error.strerror or error}", hint="look at the address") from error
