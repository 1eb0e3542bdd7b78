"""The `edgeflow` program: the command tree, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from edgeflow import __version__
from edgeflow.cli import (
    agent,
    compare,
    convert,
    coverage,
    deploy,
    devices,
    doctor,
    init,
    inspect,
    lab,
    report,
    results,
    run,
    sweep,
    toolchain,
    worker,
    zoo,
)
from edgeflow.cli.console import report_error
from edgeflow.cli.context import GLOBAL_HELP, GlobalOptions, split_globals
from edgeflow.errors import EdgeflowError, UsageError

app = typer.Typer(
    name="edgeflow",
    help="Deploy trained models to phones and boards, and measure them with numbers that can be trusted.",
    epilog=GLOBAL_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("deploy")(deploy.deploy)
app.command("run")(run.run)
app.command("convert")(convert.convert)
app.command("coverage")(coverage.coverage)
app.command("init")(init.init)
app.command("inspect")(inspect.inspect)
app.command("sweep")(sweep.sweep)
app.command("worker")(worker.worker)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.add_typer(devices.app, name="devices")
app.add_typer(agent.app, name="agent")
app.add_typer(toolchain.app, name="toolchain")
app.add_typer(zoo.app, name="zoo")
app.add_typer(results.app, name="results")
app.add_typer(lab.app, name="lab")
app.command("doctor")(doctor.doctor)

_INTERRUPTED = 130


def _version(value: bool) -> None:
    if value:
        print(f"edgeflow {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The options of the program itself."""
    del version


def main(argv: list[str] | None = None) -> None:
    """Runs one command and exits with its documented code."""
    options = GlobalOptions()
    try:
        options, words = split_globals(sys.argv[1:] if argv is None else argv)
        sys.exit(app(args=words, prog_name="edgeflow", obj=options, standalone_mode=False))
    except TyperException as error:
        # Click's own word for a wrong option or argument, told in our one style.
        text = _sentence(error)
        if text.startswith("usage: "):
            print(error)  # a bare command group: its help is the answer
            sys.exit(UsageError.exit_code)
        usage = UsageError(text, hint="add --help to see what the command takes")
        report_error(usage, as_json=options.as_json, debug=options.debug)
        sys.exit(usage.exit_code)
    except EdgeflowError as error:
        report_error(error, as_json=options.as_json, debug=options.debug)
        if options.debug:
            traceback.print_exc()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _interrupted()
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            _interrupted()
        raise
    except OSError as error:
        # What the library could not foresee of the file system still ends in one line.
        _report_os_error(error, options)


def _sentence(error: TyperException) -> str:
    describe = getattr(error, "format_message", None)
    text = str(describe() if describe else error)
    text = text.replace("Value error, ", "").replace("Input should be", "expected")
    return text[:1].lower() + text[1:].rstrip(".")


def _interrupted() -> NoReturn:
    print("interrupted", file=sys.stderr)
    sys.exit(_INTERRUPTED)


def _report_os_error(error: OSError, options: GlobalOptions) -> None:
    where = f" ({error.filename})" if error.filename else ""
    failure = UsageError(f"{error.strerror or error}{where}")
    report_error(failure, as_json=options.as_json, debug=options.debug)
    if options.debug:
        traceback.print_exc()
    sys.exit(failure.exit_code)


def program() -> None:
    """The `edgeflow` command. Leaves without tearing the interpreter down.

    Every file, process and lock was let go of by its own context; taking numpy and pydantic apart object by
    object is a tenth of a second that nobody needs.
    """
    # Importing makes many objects that stay: collecting among them time and again finds nothing.
    gc.set_threshold(50_000, 20, 20)
    # We have no pydantic plugins; looking for some reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    program()
