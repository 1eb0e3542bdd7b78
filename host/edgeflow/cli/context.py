"""Global options, which may stand before or after the command, and what every command needs of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import UsageError

if TYPE_CHECKING:
    import typer
    from rich.console import RenderableType

    from edgeflow.cli.console import ConsoleProgress
    from edgeflow.workspace import Workspace

GLOBAL_HELP = (
    "Global options, before or after the command: --devices-file FILE (default: devices.yaml here, then "
    "the user's), --json (one document on stdout), --quiet (no progress), --debug (an error with its "
    "traceback and tool log)."
)


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """The options that every command takes."""

    devices_file: Path | None = None
    as_json: bool = False
    quiet: bool = False
    debug: bool = False

    def workspace(self) -> Workspace:
        from edgeflow.workspace import Workspace

        return Workspace.default(devices_file=self.devices_file)

    def show(self, document: Mapping[str, Any], view: Callable[[Mapping[str, Any]], RenderableType]) -> None:
        """The document on stdout: as JSON where --json was given, else as `view` draws it for a person."""
        from edgeflow.cli import console

        if self.as_json:
            console.emit_json(document)
        else:
            console.emit(view(document))

    def progress(self) -> ConsoleProgress:
        """Progress on stderr: live on a terminal, plain lines otherwise, none with --quiet."""
        from edgeflow.cli.console import ConsoleProgress

        return ConsoleProgress(quiet=self.quiet)


def split_globals(argv: Sequence[str]) -> tuple[GlobalOptions, list[str]]:
    """Takes the global options out of argv, wherever they stand before a `--`. Raises UsageError."""
    devices_file: Path | None = None
    flags = {"--json": False, "--quiet": False, "--debug": False}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest.extend([word, *words])
        elif word in flags:
            flags[word] = True
        elif word == "--devices-file" or word.startswith("--devices-file="):
            _, equals, value = word.partition("=")
            value = value if equals else next(words, "")
            if not value:
                raise UsageError("--devices-file needs the name of a file")
            devices_file = Path(value)
        else:
            rest.append(word)
    options = GlobalOptions(devices_file, flags["--json"], flags["--quiet"], flags["--debug"])
    return options, rest


def options_of(context: typer.Context) -> GlobalOptions:
    """The global options of the running command."""
    found = context.find_object(GlobalOptions)
    return found if found is not None else GlobalOptions()
