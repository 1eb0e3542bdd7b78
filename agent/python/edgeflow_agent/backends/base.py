"""What a runtime must do for the harness, and the table of runtimes."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from edgeflow_agent.faults import Fault
from edgeflow_agent.sites import Site
from edgeflow_agent.wire import Tensor


class RuntimeInfo(NamedTuple):
    """What the runtime was really told, read back from it where it can be."""

    name: str
    version: str
    compute_dtype: str
    options: Dict[str, Any]

    def to_json(self) -> Dict[str, Any]:
        return dict(self._asdict())


class Backend(Protocol):
    """One runtime with one model. It never times itself: the harness does.

    `run` does what a bare user loop would do for one inference and nothing else. Every verb raises Fault.
    There is no unload: the worker's end is, and no destructor of a runtime can spoil an answer.
    """

    def load(self, files: Mapping[str, str], options: Mapping[str, Any], threads: int) -> None:
        """Loads the model from `files` (role -> path). Raises Fault load_failed, bad_request."""

    def inputs(self) -> List[str]:
        """The runtime's input names, in its order."""

    def outputs(self) -> List[str]:
        """The runtime's output names, in the model's order."""

    def bind(self, tensors: Sequence[Tensor]) -> None:
        """Makes one complete input set ready for `run`. Raises Fault bad_input."""

    def run(self) -> None:
        """One inference on the bound inputs, every output computed. Raises Fault run_failed."""

    def read(self) -> List[Tensor]:
        """A copy of the last outputs, in the order of `outputs`."""

    def info(self) -> RuntimeInfo:
        """What runs; asked after everything is measured, so that it may read the model's file."""


class BackendEntry(NamedTuple):
    """Where a backend lives and what it needs: `package` is what must be importable, None for nothing."""

    module: str
    package: Optional[str]
    roles: Tuple[str, ...]


REGISTRY = {
    "mnn": BackendEntry("mnn", "MNN", ("model",)),
    "ncnn": BackendEntry("ncnn", "ncnn", ("param", "bin")),
    "null": BackendEntry("null", None, ()),
    "onnxruntime": BackendEntry("onnxruntime", "onnxruntime", ("model",)),
    "openvino": BackendEntry("openvino", "openvino", ("xml", "bin")),
    "paddlelite": BackendEntry("paddlelite", "paddlelite", ("model",)),
    "snpe": BackendEntry("snpe", "onnxruntime_qnn", ("graph", "emulator")),
    "tflite": BackendEntry("tflite", "ai_edge_litert", ("model",)),
}
"""Backend name -> entry. A new runtime is one line here and one file beside this one."""


def available(sites: Sequence[Site] = ()) -> Dict[str, Dict[str, Any]]:
    """HELLO's `backends`: which runtimes are installed, found without importing any.

    What the interpreter has counts before what the host brought; of `sites` the first for a runtime.
    """
    brought = {site.runtime: site for site in reversed(sites)}
    found: Dict[str, Dict[str, Any]] = {}
    for name, entry in REGISTRY.items():
        if entry.package is None:
            found[name] = {"available": True, "version": "1"}
        elif importlib.util.find_spec(entry.package) is None and name in brought:
            site = brought[name]
            found[name] = {"available": True, "version": site.version, "site": site.key}
        elif importlib.util.find_spec(entry.package) is None:
            found[name] = {"available": False, "reason": _missing(entry.package)}
        else:
            found[name] = {"available": True, "version": _installed_version(entry.package)}
    return found


def create(name: str) -> Backend:
    """Imports the runtime and makes its backend. Raises Fault backend_missing when it cannot be imported."""
    entry = REGISTRY[name]
    try:
        module = importlib.import_module("edgeflow_agent.backends." + entry.module)
        backend: Backend = module.create()
    except ImportError as error:
        raise Fault("backend_missing", "%s cannot be imported: %s" % (name, error)) from error
    return backend


def require_inputs(expected: Sequence[str], tensors: Sequence[Tensor]) -> None:
    """Raises Fault bad_input unless `tensors` are exactly the expected inputs, each once."""
    given = [tensor.name for tensor in tensors]
    if sorted(given) != sorted(expected):
        raise Fault("bad_input", "the model's inputs are %s, got %s" % (sorted(expected), sorted(given)))


def _missing(package: str) -> str:
    return "%s has no Python package %s: run '%s -m pip install %s'" % (
        os.uname().nodename,
        package,
        sys.executable,
        package,
    )


def _installed_version(package: str) -> Optional[str]:
    # importlib.metadata would cost the core 3 MiB and 30 ms; the folder's name says the same (PEP 376, 427).
    # Its case is the archive's: MNN comes as mnn.
    prefix, suffix = package.lower() + "-", ".dist-info"
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.lower().startswith(prefix) and name.endswith(suffix):
                return name[len(prefix) : -len(suffix)]
    return None
