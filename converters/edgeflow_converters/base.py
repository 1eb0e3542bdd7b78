"""The vocabulary of conversion: request, tensor mapping, artifact, and the Converter interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgeflow_converters.errors import ConverterFailed
from edgeflow_converters.tensors import TensorSpec

if TYPE_CHECKING:
    from edgeflow_converters.check import Tolerance, Verdict
    from edgeflow_converters.inspect import ModelInfo
    from edgeflow_converters.needs import Needs
    from edgeflow_converters.tensors import Tensors


ProgressFn = Callable[[str], None]
"""Called with the name of each phase as it begins ("simplify", "pnnx", "verify")."""


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """What to convert, to what, and the inputs it will be judged by.

    `samples` are complete input sets (every model input, in the source's layout): the recipe's real
    ones first, then seeded random ones in range. At least one is required: nothing counts unverified.

    `calibration` are complete input sets too, real ones only: what static quantization (int8) measures its
    ranges on. Other precisions never look at them.
    """

    source: Path
    runtime: str
    precision: str
    input_shapes: Mapping[str, tuple[int, ...]]
    samples: Sequence[Tensors]
    tolerance: Tolerance | None = None  # None: the table's value for the precision
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float = 600.0
    top1_outputs: tuple[str, ...] = ()  # outputs of logits; distributions are recognised by themselves
    calibration: Sequence[Tensors] = ()
    expected: Sequence[Tensors] = ()
    """The right outputs for the first of `samples`, where they are known from elsewhere: the reference must
    agree."""
    program: Path | None = None
    """The Paddle program (.pdmodel) that `source` was made of, if any: Paddle Lite takes it straight in."""
    origin: Mapping[str, Any] | None = None  # what `source` was imported from (sources/importing.py)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified product in its content-addressed folder, as artifact.json describes it."""

    path: Path
    key: str
    runtime: str
    precision: str
    weights_dtype: str
    compute_dtype: str
    source_sha256: str
    files: Mapping[
        str, str
    ]  # role -> file name inside `path`, e.g. {"param": "model.param", "bin": "model.bin"}
    sha256: Mapping[str, str]  # role -> content hash
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime_options: Mapping[str, Any]  # what the worker must set, by the runtime's own names
    tools: Mapping[str, str]  # tool -> version
    notes: tuple[str, ...]  # what preparing and converting had to say
    verdict: Verdict
    cached: bool
    needs: Needs | None = None  # None: of an earlier edgeflow, or it has no files
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """Inputs of the model that are constants of the product (structure.py) -> their values, as nested
    lists."""
    # Of a model imported from another form: kind, exporter, agreement.
    origin: Mapping[str, Any] | None = None
    phases_ns: Mapping[str, int] = field(default_factory=dict, compare=False)  # of this call; not content


@dataclass(frozen=True, slots=True)
class ToolStatus:
    """Whether a converter can be used here, and if not, the one command that fixes it."""

    name: str
    ready: bool
    version: str = ""
    missing: str = ""
    fix: str = ""
    on_demand: bool = False  # not here yet, and the first conversion that needs it fetches it


class Converter(Protocol):
    """One target runtime. Implementations live in `targets/`, one file (or folder) per runtime."""

    name: str
    rewrites: tuple[str, ...]  # modules of `rewrites/` that prepare a model for this target

    def doctor(self) -> ToolStatus:
        """What is installed and what is missing. Cheap; imports no ML library."""

    def versions(self) -> dict[str, str]:
        """Tools that shape the product -> version; part of the artifact's key. Cheap."""

    def requires(self, request: ConvertRequest, info: ModelInfo) -> None:
        """Cheap checks before slow work. Raises ConvertError with an actionable message."""

    def convert(self, request: ConvertRequest, out: Path, progress: ProgressFn) -> Product:
        """Write the runtime's files into the empty folder `out`; scratch goes beside it. `request.source`
        is the prepared model, with pinned shapes. Raises ConvertError."""

    def run(
        self, product: Product, folder: Path, samples: Path, result: Path, work: Path, timeout_s: float
    ) -> None:
        """Run `product`, whose files are in `folder`, over `samples` and write `result` (both .npz, see
        arrays.py), in a subprocess in `work`. Raises ConverterFailed if it cannot be loaded or run."""


@dataclass(frozen=True, slots=True)
class Product:
    """What a target hands back before verification: its files and how tensors map to them."""

    files: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime_options: Mapping[str, Any]
    weights_dtype: str
    compute_dtype: str
    tools: Mapping[str, str]
    notes: tuple[str, ...] = ()


def require_written(files: Mapping[str, str], folder: Path, tool: str) -> None:
    """Raises ConverterFailed if a file of a product is not there, whatever `tool` said."""
    missing = [name for name in files.values() if not (folder / name).is_file()]
    if missing:
        raise ConverterFailed(f"{tool} said success and wrote no {missing[0]}")
