"""Option types that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeflow.cli import complete
from edgeflow.errors import UsageError

if TYPE_CHECKING:
    from edgeflow.config.devices import AgentKind


class Mode(StrEnum):
    """How long a benchmark lasts."""

    quick = "quick"
    thorough = "thorough"
    sustained = "sustained"


class Agent(StrEnum):
    """Which agent runs on the device."""

    auto = "auto"
    native = "native"
    python = "python"


ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A model file, a recipe (.yaml), module:factory or zoo:NAME. Default: edgeflow.yaml in this "
        "folder, else the zoo's demo model.",
    ),
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Load a model that is a pickle, which can run anything.")
]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="[NAME=]1x3x224x224",
        help="An input's shape, of a PyTorch, Paddle or Keras model without a recipe.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", "-d", help="A device of devices.yaml, or local.", autocompletion=complete.devices
    ),
]
RuntimeOption = Annotated[
    str,
    typer.Option(
        "--runtime",
        "-r",
        help="What runs the model: ncnn, mnn, tflite, onnxruntime, openvino and others (docs/runtimes.md).",
        autocompletion=complete.runtimes,
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", "-p", help="fp32, fp16, int8 or int8-dynamic.", autocompletion=complete.precisions
    ),
]
AcceleratorOption = Annotated[str, typer.Option(help="cpu, gpu or npu: the one asked for, or an error.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", "-t", min=1, max=1024, help="Default: the device's, else 1.")
]
AffinityOption = Annotated[
    str | None, typer.Option(help="CPU cores to run on, e.g. 0,1 or 4-7. Default: the system decides.")
]
GovernorOption = Annotated[
    str | None,
    typer.Option(
        help="CPU frequency governor while a job runs, e.g. performance (needs root there); set back "
        "afterwards. Default: the device's, else as it is."
    ),
]
AgentOption = Annotated[
    Agent | None,
    typer.Option("--agent", help="Which agent the device gets. Default: the device's entry, else auto."),
]
CompilerOption = Annotated[
    str, typer.Option("--compiler", help="auto, ndk, gcc or zig. Default: the best there is.")
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", "-o", help="A folder to copy the artifact to.")
]


ConversionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="An option of the conversion, before the recipe's own."
    ),
]


def parse_options(given: list[str] | None) -> dict[str, bool | int | str]:
    """The options of NAME=VALUE words; true, false and whole numbers are such. Raises UsageError."""
    parsed: dict[str, bool | int | str] = {}
    for word in given or []:
        name, equals, text = word.partition("=")
        if not name or not equals or not text:
            raise UsageError(f"--option {word}: expected NAME=VALUE, e.g. engine=tensorflow")
        if name in parsed:
            raise UsageError(f"--option {name} is given twice")
        number = int(text) if text.isascii() and text.isdecimal() else None
        parsed[name] = {"true": True, "false": False}.get(text, text if number is None else number)
    return parsed


def kind_of(agent: Agent | None) -> AgentKind | None:
    """The kind of agent that an option names."""
    return None if agent is None else agent.value


def parse_cores(text: str | None) -> tuple[int, ...] | None:
    """The cores of a list such as "0,2-3". Raises UsageError."""
    if text is None:
        return None
    cores: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise UsageError(f"--affinity {text}: expected cores such as 0,1 or 4-7, got {part!r}") from None
        if not 0 <= low <= high < 4096:
            raise UsageError(f"--affinity {text}: {part!r} is not a range of cores")
        cores.update(range(low, high + 1))
    return tuple(sorted(cores))
