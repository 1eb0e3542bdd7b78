"""Watching a sweep: a live table on a terminal, a plain line for each thing that matters otherwise."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from edgeflow.cli.units import count_text, ms_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType
    from rich.live import Live

_REFRESH_HZ = 4
_MOST_ROWS = 40
_SPARSE_S = 15.0
"""A log tells of a long conversion's phases this often at the most."""


class Watcher(Protocol):
    """A listener of a sweep, and a context manager around it."""

    sweep_id: str

    def tell(self, event: dict[str, Any]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def watch(*, quiet: bool) -> Watcher:
    """What fits where stderr goes."""
    if not quiet and sys.stderr.isatty():
        return LiveTable()
    return Lines(quiet=quiet)


class Lines:
    """A line on stderr for each event that a person reads in a log; with `quiet` only notes and faults."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.sweep_id = ""
        self._quiet = quiet
        self._clock = clock
        self._done = 0
        self._all = 0
        self._converting: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def tell(self, event: dict[str, Any]) -> None:
        if event["event"] == "sweep_started":
            self.sweep_id = event["id"]
            self._all = sum(event["counts"].values())
            self._done = self._all - event["counts"]["pending"]
        if event["event"] == "job_finished":
            self._done += 1
        text = self._conversion_goes_on(event) or line_of(event)
        if text is None or (self._quiet and not text.startswith("note: ")):
            return
        counted = f"[{self._done}/{self._all}] " if event["event"] == "job_finished" else ""
        print(text if text.startswith("note: ") else f"  {counted}{text}", file=sys.stderr, flush=True)

    def _conversion_goes_on(self, event: dict[str, Any]) -> str | None:
        """A line for the first sign of work (one that is in the cache gives none), then for a phase now and
        then: a conversion of minutes must not look like one that hangs."""
        if event["event"] != "progress" or "model" not in event:
            return None
        what, now = _conversion(event), self._clock()
        if what not in self._converting:
            self._converting[what] = now
            return f"converting {what}"
        phase = event.get("step", "").rpartition(": ")[2]
        if not phase or now - self._converting[what] < _SPARSE_S:
            return None
        self._converting[what] = now
        return f"converting {what}: {phase}"


def line_of(event: dict[str, Any]) -> str | None:
    """An event in words; None for one that only tables show."""
    match event["event"]:
        case "sweep_started":
            counts = event["counts"]
            goes = "goes on" if event["resumed"] else "begins"
            dropped = f", {len(event['dropped'])} cells left out" if event["dropped"] else ""
            return (
                f"sweep {event['id']} {goes}: {count_text(counts['pending'], 'job')} "
                f"on {count_text(len(event['devices']), 'device')}"
                + (f", {counts['ok']} done before" if counts["ok"] else "")
                + dropped
            )
        case "conversion_finished":
            how = "from the cache" if event["cached"] else f"{event['seconds']:.1f} s"
            return f"converted {_conversion(event)}: {how}"
        case "conversion_failed":
            return f"note: conversion of {_conversion(event)} failed: {event['error']['message']}"
        case "job_finished" if event["status"] == "ok":
            why = f": {event['reasons'][0]}" if event["reasons"] else ""
            validity = "" if event["validity"] == "valid" else f" ({event['validity']}{why})"
            return f"{event['device']}: {event['label']}: {ms_text(event['median_ms'])}{validity}"
        case "job_finished":
            return f"{event['device']}: {event['label']}: failed: {_error(event)}"
        case "job_retried":
            return f"note: {_error(event)} ({event['label']}); again in {event['wait_s']:g} s"
        case "device_busy":
            return f"note: {_error(event)}; asked again in {event['wait_s']:g} s"
        case "device_cooling":
            return f"{event['device']}: cools down, {event['temperature_c']:.0f} °C"
        case "device_quarantined":
            moved, stranded = len(event["moved"]), event["stranded"]
            rest = [f"{moved} jobs go to an equal device"] if moved else []
            rest += [f"{stranded} jobs wait for a resume"] if stranded else []
            return (
                f"note: {event['device']}: given up: {_error(event)}; {', '.join(rest) or 'no job is left'}"
            )
        case "note":
            where = f"{event['device']}: " if "device" in event else ""
            text: str = event["text"]
            return f"note: {text if text.startswith(where) else where + text}"
    return None


@dataclass(slots=True)
class _Row:
    """What the table shows of one device."""

    state: str = "waits"
    what: str = ""
    step: str = ""
    share: float | None = None
    temperature_c: float | None = None
    done: int = 0
    left: int = 0
    began: float = 0.0
    busy_s: float = 0.0

    def eta_s(self) -> float | None:
        """Until the device's jobs are done, at the pace of those that are."""
        return self.busy_s / self.done * self.left if self.done else None


class LiveTable:
    """A table on a terminal's stderr that is redrawn a few times a second; notes scroll above it."""

    def __init__(self) -> None:
        self.sweep_id = ""
        self._rows: dict[str, _Row] = {}
        self._converting: dict[str, str] = {}
        self._counts = {"ok": 0, "failed": 0, "pending": 0}
        self._live: Live | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, emoji=False, highlight=False)
        self._live = Live(
            get_renderable=self.render, console=console, refresh_per_second=_REFRESH_HZ, transient=True
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._note(event)
        if self._live is None or event["event"] in ("job_finished", "device_cooling", "conversion_finished"):
            return
        if (text := line_of(event)) is not None:
            self._live.console.print(text, markup=False)

    def render(self) -> RenderableType:
        """The table as it is now: busy devices first where there is not room for all."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            rows = sorted(self._rows.items(), key=lambda item: item[1].state == "done")
            room = _MOST_ROWS
            if self._live is not None:
                room = max(3, min(room, self._live.console.height - 6))
            table = Table(box=None, pad_edge=False, header_style="bold")
            for name in ("device", "state", "job", "progress", "°C", "done", "left", "ETA"):
                table.add_column(name, no_wrap=True, overflow="ellipsis")
            for name, row in rows[:room]:
                share = "" if row.share is None else f" {100 * row.share:.0f} %"
                table.add_row(
                    name,
                    Text(row.state, style=_STYLES.get(row.state, "")),
                    row.what,
                    row.step + share,
                    "" if row.temperature_c is None else f"{row.temperature_c:.0f}",
                    str(row.done),
                    str(row.left),
                    _clock(row.eta_s()) if row.left and row.state != "given up" else "",
                )
            counts = self._counts
            etas = [eta for row in self._rows.values() if row.left and (eta := row.eta_s()) is not None]
            head = (
                f"sweep {self.sweep_id}  {counts['ok']} ok  {counts['failed']} failed  "
                f"{counts['pending']} to do" + (f"  ETA {_clock(max(etas))}" if etas else "")
            )
            lines: list[RenderableType] = [Text(head, style="bold"), table]
            if len(rows) > room:
                lines.append(Text(f"and {len(rows) - room} more devices", style="dim"))
            for text, step in self._converting.items():
                lines.append(Text(f"converting {text}  {step}", style="dim"))
            return Group(*lines)

    def _note(self, event: dict[str, Any]) -> None:
        name = event["event"]
        if name == "sweep_started":
            self.sweep_id, self._counts = event["id"], dict(event["counts"])
            self._rows = {device: _Row(left=left) for device, left in event["devices"].items()}
        elif "model" in event:
            self._note_conversion(event)
        elif "device" in event:
            self._note_device(self._rows.setdefault(event["device"], _Row()), event)

    def _note_conversion(self, event: dict[str, Any]) -> None:
        what = _conversion(event)
        if event["event"] in ("conversion_finished", "conversion_failed"):
            self._converting.pop(what, None)
        elif event["event"] in ("conversion_started", "progress"):
            self._converting[what] = event.get("step", "").rpartition(": ")[2]

    def _note_device(self, row: _Row, event: dict[str, Any]) -> None:
        match event["event"]:
            case "job_started":
                row.state, row.what, row.step, row.share = "works", event["label"], "", None
                row.began = time.monotonic()
            case "progress" if "step" in event:
                row.step, row.share = event["step"].partition(" ")[0], None
            case "progress":
                row.share = event["done"] / event["total"] if event["total"] else None
            case "job_finished":
                ok = event["status"] == "ok"
                self._counts["ok" if ok else "failed"] += 1
                self._counts["pending"] -= 1
                row.left, row.share, row.step = event["left"], None, ""
                if ok:
                    row.done += 1
                    row.busy_s += time.monotonic() - row.began
                    row.temperature_c = event["temperature_c"]
                if row.state != "given up":
                    row.state = "waits" if row.left else "done"
            case "job_retried":
                row.state, row.step = "retries", event["error"]["kind"]
            case "device_busy":
                row.state, row.step = "busy", ""
            case "device_cooling":
                row.state, row.temperature_c = "cools", event["temperature_c"]
            case "device_quarantined":
                row.state, row.step, row.left = "given up", event["error"]["kind"], event["stranded"]
                for moved in event["moved"]:
                    self._rows.setdefault(moved["to"], _Row()).left += 1


_STYLES = {"works": "green", "given up": "red", "retries": "yellow", "busy": "yellow", "cools": "cyan"}


def _conversion(event: dict[str, Any]) -> str:
    return f"{event['model']} to {event['runtime']} {event['precision']}"


def _error(event: dict[str, Any]) -> str:
    error = event["error"]
    return "no reason is known" if error is None else f"{error['message']}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
