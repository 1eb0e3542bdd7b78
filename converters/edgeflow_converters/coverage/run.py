"""A suite over runtimes and precisions, on several processors, from where it was left."""

from __future__ import annotations

import fnmatch
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgeflow_converters.cache import unwritable
from edgeflow_converters.coverage.book import Book
from edgeflow_converters.coverage.case import Ask, Case, Outcome
from edgeflow_converters.coverage.judge import judge
from edgeflow_converters.warm import keep_warm

Cell = tuple[str, Ask]
"""A case's name, and whom it was asked."""
Told = Callable[[str, Ask, Outcome, int], None]
"""Called with each outcome as it is known, and how many are still to come."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask: every one of `cases` in every one of `asks`. `limit_s` bounds each step of a case."""

    cases: Sequence[Case]
    asks: Sequence[Ask]
    limit_s: float = 60.0
    jobs: int = 0
    """How many at once; 0 for as many as this machine has processors for."""


def matching(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """The cases whose names match one of the shell-style `patterns`; all of them without any."""
    return [
        case
        for case in cases
        if not patterns or any(fnmatch.fnmatchcase(case.name, each) for each in patterns)
    ]


def run(plan: Plan, book: Book, tools_root: Path, scratch: Path, told: Told) -> Mapping[Cell, Outcome]:
    """Every cell of the plan with its outcome: out of the book, or asked now and added to it.

    Tools work in threads of this process, each with interpreters of its own that are kept warm. Raises
    ToolMissing and CacheUnwritable as soon as one case meets them; what was known by then is in the book.
    """
    results: dict[Cell, Outcome] = {}
    waiting: queue.SimpleQueue[tuple[Case, Ask]] = queue.SimpleQueue()
    for ask in plan.asks:
        for case in plan.cases:
            known = book.find(case, ask)
            if known is None:
                waiting.put((case, ask))
            else:
                results[case.name, ask] = known
    left = waiting.qsize()
    if not left:
        return results
    lock = threading.Lock()
    stopped = threading.Event()

    def work() -> None:
        nonlocal left
        with keep_warm():
            for case, ask in _taken(waiting, stopped):
                outcome = judge(case, ask, folder, tools_root, plan.limit_s)
                with lock:
                    book.add(case, ask, outcome)
                    results[case.name, ask] = outcome
                    left -= 1
                    told(case.name, ask, outcome, left)

    try:
        scratch.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(dir=scratch, prefix="coverage-")
    except OSError as error:
        raise unwritable(scratch, error) from error
    jobs = min(left, plan.jobs or len(os.sched_getaffinity(0)))
    with made as name, ThreadPoolExecutor(jobs) as pool:
        folder = Path(name)
        try:
            for future in [pool.submit(work) for _ in range(jobs)]:
                future.result()
        finally:
            stopped.set()  # after an error or Ctrl-C, the others end with the case they are at
    return results


def _taken(
    waiting: queue.SimpleQueue[tuple[Case, Ask]], stopped: threading.Event
) -> Iterator[tuple[Case, Ask]]:
    while not stopped.is_set():
        try:
            yield waiting.get_nowait()
        except queue.Empty:
            return
