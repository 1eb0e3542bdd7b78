"""The threads of a sweep: what ends them, and what they leave behind."""

from __future__ import annotations

import random
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.sweep.crew import Crew, Outcome, SweepBroken
from edgeflow.sweep.events import Teller
from edgeflow.sweep.matrix import Cell
from edgeflow.sweep.scheduler import Board, Job, Rules

if TYPE_CHECKING:
    from edgeflow.progress import Progress
    from edgeflow.sweep.matrix import ConversionKey


def board(devices: int, jobs: int) -> Board:
    cells = [
        Cell("m.onnx", f"d{device}", "null", "fp32", "cpu", number, "default")
        for device in range(devices)
        for number in range(1, jobs + 1)
    ]
    return Board(
        (Job(cell, 1, (0, 1, order), cell.device) for order, cell in enumerate(cells)), rules=Rules()
    )


class Worker:
    """Does nothing, at once."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def convert(self, key: ConversionKey, progress: Progress) -> dict[str, Any]:
        return {}

    def run(self, job: Job, progress: Progress) -> Outcome:
        return Outcome("0" * 26, {})

    def reached(self, device: str) -> bool:
        return True

    def temperature_c(self, device: str) -> float | None:
        return None

    def settle(self, job: Job, status: str) -> None:
        pass

    def forget(self, device: str) -> None:
        self.forgotten.append(device)

    def interrupt(self) -> None:
        pass


def test_ctrl_c_at_any_moment_is_an_interrupt_and_nothing_else() -> None:
    """It once fell between the making of a device's thread and its start, and ended in a traceback."""
    moment = random.Random(7)
    interrupts = 0
    for _ in range(60):
        worker = Worker()
        crew = Crew(board(devices=30, jobs=3), worker, Teller([]), conversions=2)
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(moment.uniform(0, 0.02), signal.pthread_kill, (main, signal.SIGINT))
        try:
            timer.start()
            crew.run()
            while True:
                time.sleep(1)  # it was over first: the signal comes here
        except KeyboardInterrupt:
            interrupts += 1
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("device ")]
    assert interrupts == 60


def test_a_store_that_cannot_be_written_ends_the_sweep() -> None:
    class Full(Worker):
        def run(self, job: Job, progress: Progress) -> Outcome:
            raise SweepBroken(OSError("no space left"))

    worker = Full()
    with pytest.raises(OSError, match="no space left"):
        Crew(board(devices=2, jobs=3), worker, Teller([]), conversions=1).run()
    assert sorted(worker.forgotten) == ["d0", "d1"]
