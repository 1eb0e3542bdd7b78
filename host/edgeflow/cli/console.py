"""What a person sees while a command works, and how errors and documents leave the program."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgeflow.errors import EdgeflowError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.status import Status

_REFRESH_S = 0.1
_NUMBERS = re.compile(r"\[\s+-?\d[\d.eE+-]*(?:,\s+-?\d[\d.eE+-]*)*\s+\]")


class ConsoleProgress:
    """Progress on stderr: one live line on a terminal, one plain line a phase otherwise.

    A context manager, so that the live line is gone before anything else is printed.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._status: Status | None = None
        self._text = ""
        self._last_update = 0.0

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def step(self, text: str) -> None:
        self._text = text
        if self._live:
            if self._status is None:
                from rich.console import Console

                self._status = Console(stderr=True, emoji=False).status(text)
                self._status.start()
            self._status.update(text)
        elif not self._quiet:
            print(f"  {text}", file=sys.stderr)

    def update(self, done: float, total: float | None) -> None:
        now = time.monotonic()
        if self._status is None or now - self._last_update < _REFRESH_S:
            return
        self._last_update = now
        share = f" {100 * done / total:.0f} %" if total else f" {done:g}"
        self._status.update(self._text + share)

    def note(self, text: str) -> None:
        if self._status is not None:
            self._status.console.print(f"[dim]note:[/dim] {text}", highlight=False)
        else:
            print(f"note: {text}", file=sys.stderr)


def emit_json(document: Mapping[str, Any]) -> None:
    """Writes one JSON document to stdout. Not-a-number never leaves: it would not be JSON."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # A series of a thousand samples is one line, not a thousand.
    _write(_NUMBERS.sub(lambda found: " ".join(found.group().split()), text) + "\n")


def emit(*renderables: RenderableType) -> None:
    """Prints tables or text to stdout, without colour where stdout is not a terminal."""
    console = _stdout_console()
    with console.capture() as capture:
        for renderable in renderables:
            console.print(renderable)
    # Rich pads every line to the table's width: blanks that only disturb whoever copies or greps.
    _write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def _stdout_console() -> Console:
    """A console on stdout, wide enough that a pipe never wraps a table."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 160
    return Console(width=width, highlight=False, soft_wrap=False, emoji=False)


def say(text: str) -> None:
    """A line of advice on stderr."""
    print(text, file=sys.stderr)


def report_error(error: EdgeflowError, *, as_json: bool, debug: bool) -> None:
    """One line that says what failed, one that says what to do; all that the tool said with --debug."""
    if as_json:
        explanation = getattr(error, "explanation", None)
        emit_json(
            {
                "schema": "edgeflow.error/1",
                **({} if explanation is None else {"explanation": explanation}),
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "detail": error.detail,
                    "exit_code": error.exit_code,
                },
            }
        )
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)
    if debug and error.detail:
        print(error.detail, file=sys.stderr)


def emit_plain(line: str) -> None:
    """Prints one line to stdout exactly as it is."""
    _write(f"{line}\n")


def write_text(text: str, output: Path | None) -> None:
    """Writes a document to a file, whole or not at all, or to stdout."""
    if output is None:
        _write(text)
        return
    from edgeflow.files import write_atomic

    write_atomic(output, text.encode())


def _write(text: str) -> None:
    """Writes to stdout. A reader that went away (`| head`) ends the program in peace."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end: give it something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
