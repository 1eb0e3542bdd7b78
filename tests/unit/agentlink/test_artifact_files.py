"""Which files of an artifact an agent gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edgeflow.agentlink.jobs import files_for


def artifact(runtime: str, **sha256: str) -> Any:
    return SimpleNamespace(runtime=runtime, sha256=sha256)


def test_a_snpe_worker_gets_the_dlc_and_its_stand_in_the_graph() -> None:
    snpe = artifact("snpe", model="m", graph="g", emulator="e", **{"htp-v73": "h"})
    assert files_for(snpe, native=True) == {"model": "m"}
    assert files_for(snpe, native=False) == {"graph": "g", "emulator": "e"}


def test_every_other_worker_gets_all() -> None:
    for native in (False, True):
        assert files_for(artifact("ncnn", param="p", bin="b"), native=native) == {"param": "p", "bin": "b"}
