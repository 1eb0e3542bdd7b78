"""Dask where it is installed, the address of its scheduler, and what both ends of a cluster agree on."""

from __future__ import annotations

import logging
from typing import Any

from edgeflow import __version__
from edgeflow.config.plan import DASK_PREFIX
from edgeflow.errors import ToolMissingError
from edgeflow_agent.identity import build_of, sources

RESOURCE = "edgeflow-device:"
"""A worker has one of `edgeflow-device:NAME` for each device that it offers: one job at a time."""


def resource(device: str) -> str:
    return RESOURCE + device


def devices_of(resources: dict[str, Any]) -> list[str]:
    """The devices that a worker with these resources offers."""
    return [name.removeprefix(RESOURCE) for name in resources if name.startswith(RESOURCE)]


def edition() -> str:
    """What has to be the same on both ends: edgeflow's version, and its agent's build."""
    return f"edgeflow {__version__} (agent {build_of(sources())[:8]})"


def distributed() -> Any:
    """The `distributed` package, with its log kept from the user's terminal. Raises ToolMissingError."""
    try:
        import distributed
    except ImportError as error:
        raise ToolMissingError(
            "dask:// needs Dask's distributed, which is not installed",
            hint="pip install 'distributed>=2026.1', here, on the scheduler's host and on every lab host",
        ) from error
    for name in ("distributed", "distributed.client"):  # what matters is told in our own words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def scheduler_address(executor: str) -> str:
    """The scheduler of `dask://HOST:PORT` as Dask writes it; over TLS where Dask's configuration names a CA.

    Raises ToolMissingError.
    """
    return ("tls://" if encrypted() else "tcp://") + executor.removeprefix(DASK_PREFIX)


def encrypted() -> bool:
    """Whether Dask's configuration has TLS (distributed.comm.tls.ca-file). Raises ToolMissingError."""
    return bool(distributed().Security().tls_ca_file)


def host_and_port(executor: str) -> tuple[str, int]:
    host, _, port = executor.removeprefix(DASK_PREFIX).rpartition(":")
    return host.strip("[]"), int(port)
