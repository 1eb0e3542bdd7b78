"""Which job runs next where, on a clock and an executor that are played."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from edgeflow.sweep.faults import Fault
from edgeflow.sweep.matrix import Cell, ConversionKey
from edgeflow.sweep.scheduler import AskTemperature, Board, Job, Rules, Verdict, Wake

LOST = Fault("transport", "lost", retry=True, blames_device=True)
BUSY = Fault("busy", "busy: other host", retry=True, blames_device=True)
CRASH = Fault("agent", "crashed", retry=True)
WRONG = Fault("numerics", "disagrees")
GONE = Fault("agent", "agent ended", retry=True, blames_device=True)


def cell(model: str = "m", device: str = "d", runtime: str = "ncnn") -> Cell:
    return Cell(model, device, runtime, "fp32", "cpu", None, "quick")


def jobs(cells: Iterable[Cell], repeats: int = 1, priority: Callable[[Cell], int] = lambda _: 0) -> list[Job]:
    cells = list(cells)
    return [
        Job(one, repeat, (-priority(one), repeat, position), one.device)
        for repeat in range(1, repeats + 1)
        for position, one in enumerate(cells)
    ]


@dataclass
class Played:
    """A fleet that is played: `takes_s` says how long a job lasts, `fails` which fault it meets."""

    board: Board
    takes_s: Callable[[Job], float] = lambda _: 1.0
    fails: Callable[[Job, float], Fault | None] = lambda _job, _now: None
    converts_s: Callable[[ConversionKey], float] = lambda _: 0.0
    conversions: int = 1
    hot_until: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    log: list[tuple[float, str, str, int]] = field(default_factory=list)  # begun: time, device, model, repeat
    ended: list[tuple[float, Job, Fault | None]] = field(default_factory=list)
    converted: list[tuple[float, ConversionKey]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    most_converting: int = 0

    def run(self) -> Played:
        agenda: list[tuple[float, int, Callable[[], None]]] = []
        count = converting = 0

        def at(when: float, task: Callable[[], None]) -> None:
            nonlocal count
            count += 1
            heapq.heappush(agenda, (when, count, task))

        def offer(device: str) -> None:
            match self.board.next_job(device, self.now):
                case Job() as job:
                    self.log.append((self.now, device, job.cell.model, job.repeat))
                    at(self.now + self.takes_s(job), lambda: end(device, job))
                case AskTemperature(below):
                    hot = self.hot_until.get(device, 0.0) > self.now
                    self.board.cooled(device, below + 9 if hot else below - 9, self.now)
                    offer(device)
                case Wake(when) if when is not None:
                    at(when, lambda: offer(device))

        def end(device: str, job: Job) -> None:
            fault = self.fails(job, self.now)
            self.ended.append((self.now, job, fault))
            if fault is None:
                self.board.finished(device, self.now)
            else:
                verdict = self.board.failed(device, fault, self.now)
                self.verdicts.append(verdict)
                for other in {moved.device for moved in verdict.moved}:
                    offer(other)
            offer(device)

        def convert() -> None:
            nonlocal converting
            while converting < self.conversions and (key := self.board.next_conversion()) is not None:
                converting += 1
                self.most_converting = max(self.most_converting, converting)
                at(self.now + self.converts_s(key), lambda key=key: done(key))  # type: ignore[misc]

        def done(key: ConversionKey) -> None:
            nonlocal converting
            converting -= 1
            self.converted.append((self.now, key))
            for device in self.board.converted(key, None)[0]:
                offer(device)

        convert()
        for device in self.board.devices:
            offer(device)
        while agenda:
            self.now, _, task = heapq.heappop(agenda)
            task()
            convert()
            running = [job.device for job in self.board.running()]
            assert len(running) == len(set(running))
        return self

    @property
    def done(self) -> list[tuple[str, int]]:
        return [(job.cell.id, job.repeat) for _, job, fault in self.ended if fault is None]


def test_devices_work_side_by_side_and_each_on_one_job() -> None:
    cells = [cell(model, device) for model in "xyz" for device in ("one", "two")]
    played = Played(Board(jobs(cells), rules=Rules())).run()
    assert played.board.over
    assert played.now == 3.0, "three jobs one after another on each of two devices"
    assert len(played.done) == len(set(played.done)) == 6


def test_every_cell_once_then_again_even_while_a_conversion_is_awaited() -> None:
    slow = Played(
        Board(jobs([cell("quick"), cell("slow")], repeats=3), rules=Rules()),
        converts_s=lambda key: 50.0 if key.model == "slow" else 0.0,
    ).run()
    assert [(model, repeat) for _, _, model, repeat in slow.log] == [
        (model, repeat) for repeat in (1, 2, 3) for model in ("quick", "slow")
    ]


def test_conversions_are_shared_bounded_and_overlap_with_benches() -> None:
    cells = [cell(model, device) for model in "abcd" for device in ("one", "two", "three")]
    played = Played(
        Board(jobs(cells), rules=Rules()), takes_s=lambda _: 10.0, converts_s=lambda _: 5.0, conversions=2
    ).run()
    assert len(played.converted) == 4, "once for each model, not for each device"
    assert played.most_converting == 2
    assert played.now == 45.0, "5 s until the first is there, then benches one after another"


def test_a_failed_conversion_fails_its_jobs_and_no_others() -> None:
    board = Board(jobs([cell("bad", "one"), cell("bad", "two"), cell("good", "one")]), rules=Rules())
    assert board.next_conversion() == ConversionKey("bad", "ncnn", "fp32")
    assert board.next_conversion() == ConversionKey("good", "ncnn", "fp32")
    woken, failed = board.converted(ConversionKey("bad", "ncnn", "fp32"), Fault("model", "truncated"))
    assert woken == ["one", "two"]
    assert [(job.device, job.fault) for job in failed] == [
        ("one", Fault("model", "truncated")), ("two", Fault("model", "truncated")),
    ]  # fmt: skip
    assert board.left("two") == 0
    assert not board.over


def test_higher_priority_is_converted_and_run_first() -> None:
    board = Board(
        jobs([cell("low"), cell("high")], repeats=2, priority=lambda one: 5 * (one.model == "high")),
        rules=Rules(),
    )
    played = Played(board).run()
    assert [key.model for _, key in played.converted] == ["high", "low"]
    assert [model for _, _, model, _ in played.log] == ["high", "high", "low", "low"]


def test_a_lost_link_is_retried_with_growing_pauses_then_the_device_is_given_up() -> None:
    played = Played(
        Board(jobs([cell("a"), cell("b")]), rules=Rules(attempts=3)), fails=lambda _job, _now: LOST
    ).run()
    assert [verdict.what for verdict in played.verdicts] == ["retry", "retry", "quarantine"]
    assert [begun for begun, *_ in played.log] == [0.0, 3.0, 8.0], "2 s, then 4 s"
    assert [job.cell.model for job in played.verdicts[-1].stranded] == ["a", "b"]
    assert played.board.given_up() == {"d": LOST}
    assert played.board.over


def test_jobs_of_a_device_that_is_given_up_go_to_an_equal_one() -> None:
    cells = [cell(model, device) for model in "ab" for device in ("one", "two", "other")]
    board = Board(jobs(cells), rules=Rules(attempts=2), stand_ins={"one": ["two"], "two": ["one"]})
    played = Played(board, fails=lambda job, _now: LOST if job.device == "one" else None).run()
    assert len(played.done) == 6
    assert {job.device for _, job, fault in played.ended if fault is None and job.cell.device == "one"} == {
        "two"
    }


def test_equal_devices_that_are_both_gone_leave_their_jobs_pending() -> None:
    board = Board(
        jobs([cell("a", "one"), cell("a", "two")]), rules=Rules(attempts=2),
        stand_ins={"one": ["two"], "two": ["one"]},
    )  # fmt: skip
    played = Played(board, fails=lambda _job, _now: LOST).run()
    assert not played.done
    assert board.over
    assert set(board.given_up()) == {"one", "two"}
    assert board.left("one") + board.left("two") == 2


def test_a_crash_lets_the_device_do_other_jobs_meanwhile() -> None:
    crashed: list[Job] = []

    def fails(job: Job, _now: float) -> Fault | None:
        if job.cell.model == "a" and not crashed:
            crashed.append(job)
            return CRASH
        return None

    played = Played(Board(jobs([cell("a"), cell("b"), cell("c")]), rules=Rules()), fails=fails).run()
    assert [model for _, _, model, _ in played.log] == ["a", "b", "c", "a"]
    assert len(played.done) == 3


def test_wrong_numbers_are_never_tried_again() -> None:
    played = Played(
        Board(jobs([cell("a"), cell("b")]), rules=Rules(attempts=5)),
        fails=lambda job, _now: WRONG if job.cell.model == "a" else None,
    ).run()
    assert [verdict.what for verdict in played.verdicts] == ["failed"]
    assert len(played.log) == 2


def test_a_device_whose_agent_keeps_dying_is_given_up_before_all_its_jobs_are_burnt() -> None:
    played = Played(
        Board(jobs([cell(model) for model in "abcdefgh"]), rules=Rules(attempts=2)),
        fails=lambda _job, _now: GONE,
    ).run()
    assert [verdict.what for verdict in played.verdicts] == ["retry", "failed", "retry", "quarantine"]
    assert len(played.verdicts[-1].stranded) == 7, "all but the one that was given up before"


def test_a_busy_device_is_waited_for_without_using_up_attempts_until_patience_ends() -> None:
    freed = Played(
        Board(jobs([cell()]), rules=Rules(attempts=1, busy_patience_s=100)),
        fails=lambda _job, now: BUSY if now < 60 else None,
    ).run()
    assert len(freed.done) == 1
    pauses = [verdict.wait_s for verdict in freed.verdicts]
    assert pauses[:5] == [1, 2, 4, 8, 15]
    never = Played(
        Board(jobs([cell()]), rules=Rules(attempts=1, busy_patience_s=100)), fails=lambda _job, _now: BUSY
    ).run()
    assert never.verdicts[-1].what == "quarantine"
    assert 100 <= never.now < 130


def test_a_device_rests_for_the_time_that_the_plan_says() -> None:
    played = Played(Board(jobs([cell("a"), cell("b")]), rules=Rules(rest_s=30.0))).run()
    assert [begun for begun, *_ in played.log] == [0.0, 31.0]


def test_a_hot_device_cools_down_first_but_not_for_ever() -> None:
    rules = Rules(rest_s=2.0, cool_below_c=45.0, rest_at_most_s=60.0)
    cools = Played(Board(jobs([cell("a"), cell("b")]), rules=rules), hot_until={"d": 20.0}).run()
    assert [begun for begun, *_ in cools.log] == [0.0, 23.0], "asked at 3, 8, 13, 18, 23"
    stays = Played(Board(jobs([cell("a"), cell("b")]), rules=rules), hot_until={"d": 1e9}).run()
    assert [begun for begun, *_ in stays.log] == [0.0, 61.0]


def test_a_device_that_tells_no_temperature_goes_on_at_once() -> None:
    board = Board(jobs([cell("a"), cell("b")]), rules=replace(Rules(), cool_below_c=45.0))
    board.next_conversion()
    board.next_conversion()
    board.converted(ConversionKey("a", "ncnn", "fp32"), None)
    board.converted(ConversionKey("b", "ncnn", "fp32"), None)
    assert isinstance(board.next_job("d", 0.0), Job)
    board.finished("d", 1.0)
    assert board.next_job("d", 1.0) == AskTemperature(45.0)
    assert board.cooled("d", None, 1.0)
    assert isinstance(board.next_job("d", 1.0), Job)


def test_a_job_that_throttled_is_cooled_after_to_where_it_began() -> None:
    board = Board(jobs([cell("a"), cell("b")]), rules=Rules())
    while (key := board.next_conversion()) is not None:
        board.converted(key, None)
    board.next_job("d", 0.0)
    board.finished("d", 1.0, cool_to_c=41.0)
    assert board.next_job("d", 1.0) == AskTemperature(41.0)
