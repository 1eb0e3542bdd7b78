"""Sweep plans: which models on which devices, how, and how often (docs/sweeps.md describes every key)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edgeflow.config.devices import RUNTIMES, AgentKind
from edgeflow.config.recipe_schema import Count, Precision
from edgeflow.config.suggest import did_you_mean
from edgeflow.config.validation import Name, key_error
from edgeflow.config.yaml_source import YamlDocument, load_yaml
from edgeflow.errors import UsageError

ZOO_PREFIX = "zoo:"
THREADS = "threads"
DASK_PREFIX = "dask://"
_DASK = re.compile(r"dask://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):[0-9]{1,5}")


def _one_as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def _runtime(name: str) -> str:
    if name not in RUNTIMES:
        raise ValueError(f"unknown runtime '{name}'; {did_you_mean(name, RUNTIMES)}")
    return name


def _no_twice(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"'{twice}' is listed twice")
    return values


def checked_executor(name: str) -> str:
    """The name of an executor. Raises ValueError."""
    if name != THREADS and not _DASK.fullmatch(name):
        raise ValueError(f"expected {THREADS} or {DASK_PREFIX}HOST:PORT, got '{name}'")
    return name


Text = Annotated[str, Field(min_length=1)]
Runtime = Annotated[str, AfterValidator(_runtime)]
Accelerator = Literal["cpu", "gpu", "npu"]
Mode = Literal["quick", "thorough", "sustained"]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Threads = Annotated[Count, Field(le=1024)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]
Runtimes = Annotated[tuple[Runtime, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]
Precisions = Annotated[tuple[Precision, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]
ThreadCounts = Annotated[tuple[Threads, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]
Accelerators = Annotated[tuple[Accelerator, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]
Modes = Annotated[tuple[Mode, ...], BeforeValidator(_one_as_list), AfterValidator(_no_twice)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """Some cells: those that have one of the values of every key that is given.

    A model may be a pattern (`zoo:ppocr-*`); a device a name, a tag or `all`.
    """

    models: Texts = Field((), alias="model")
    devices: Texts = Field((), alias="device")
    runtimes: Runtimes = Field((), alias="runtime")
    precisions: Precisions = Field((), alias="precision")
    threads: ThreadCounts = ()
    accelerators: Accelerators = Field((), alias="accelerator")
    modes: Modes = Field((), alias="mode")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in Rule.model_fields):
            raise ValueError("a rule names at least one of model, device, runtime, precision, threads, …")
        return self


class Exclusion(Rule):
    """Cells that are not to run, and why."""

    why: str = ""


class Priority(Rule):
    """Cells that run before others; 0 where no rule names a cell."""

    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)]


class Cooldown(_Strict):
    """How long a device rests after a job: `seconds` at least; then until its hottest CPU zone is at most
    `below_c`, where it tells a temperature, but no longer than `at_most_s` in all.
    """

    seconds: Seconds = 0.0
    below_c: Annotated[float, Field(gt=0, le=150)] | None = None
    at_most_s: Seconds = 300.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.seconds > self.at_most_s:
            raise key_error(f"is below 'seconds' ({self.seconds:g})", "at_most_s")
        return self


class SweepPlan(_Strict):
    """A validated plan. `base_dir` is what relative model paths start from."""

    name: Name | None = None
    description: str = ""
    models: Annotated[Texts, Field(min_length=1)]
    devices: Annotated[Texts, Field(min_length=1)] = ("all",)
    runtimes: Annotated[Runtimes, Field(min_length=1)] = ("ncnn",)
    precisions: Annotated[Precisions, Field(min_length=1)] = ("fp32",)
    threads: ThreadCounts = ()  # none: each device's own
    accelerators: Annotated[Accelerators, Field(min_length=1)] = ("cpu",)
    modes: Annotated[Modes, Field(min_length=1)] = ("quick",)
    budget_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] | None = None
    agent: AgentKind | None = None
    repeats: Annotated[Count, Field(le=1000)] = 1
    include: tuple[Rule, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    priorities: tuple[Priority, ...] = ()
    interchangeable: Texts = ()
    cooldown: Cooldown = Cooldown()
    attempts: Annotated[Count, Field(le=20)] = 3
    busy_patience_s: Seconds = 1800.0
    conversions: Annotated[Count, Field(le=16)] = 2
    executor: Annotated[str, AfterValidator(checked_executor)] = THREADS
    absent_patience_s: Seconds = 60.0
    base_dir: Path

    @property
    def digest(self) -> str:
        """Of all that decides what is run, not who does it; two plans of one digest are one plan in other
        words.
        """
        beside = {"name", "description", "executor", "absent_patience_s"}
        words = self.model_dump(mode="json", exclude=beside)
        return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The plan as the store keeps it; `from_json` reads it again."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        return cls.model_validate(data)

    def model_argument(self, spec: str) -> str:
        """A model of the plan as `edgeflow deploy` takes it from any folder."""
        return spec if spec.startswith(ZOO_PREFIX) else str(self.base_dir / Path(spec).expanduser())


class PlanSource:
    """Where a plan came from, for errors that are found out later than its keys are read."""

    def __init__(self, document: YamlDocument | None) -> None:
        self._document = document

    @property
    def path(self) -> Path | None:
        return None if self._document is None else self._document.path

    def error(self, keys: tuple[str | int, ...], message: str, *, hint: str = "") -> UsageError:
        """A UsageError at the key, with file and line where the plan is a file."""
        if self._document is not None:
            return self._document.error(keys, message, hint=hint)
        return UsageError(f"--{keys[0]}: {message}", hint=hint)

    def place(self, keys: tuple[str | int, ...]) -> str:
        """`file:line` of a key; the key itself where there is no file."""
        if self._document is None:
            return f"--{keys[0]}"
        return f"{self._document.path.name}:{self._document.line_of(keys)}"


def load_plan(path: Path, overrides: dict[str, Any]) -> tuple[SweepPlan, PlanSource]:
    """The plan in a YAML file, with what flags said in place of its keys. Raises UsageError with file, line
    and key.
    """
    document = load_yaml(path)
    if "base_dir" in document.data:
        raise document.error(("base_dir",), "unknown key")
    data = {**document.data, **overrides, "base_dir": path.resolve().parent}
    plan = YamlDocument(path, data, document.lines).validate(SweepPlan)
    return plan, PlanSource(document)


def plan_of_flags(flags: dict[str, Any], cwd: Path) -> tuple[SweepPlan, PlanSource]:
    """The plan that flags alone make. Raises UsageError naming the flag."""
    from pydantic import ValidationError

    from edgeflow.config.validation import describe

    data = {**flags, "base_dir": cwd.resolve()}
    try:
        return SweepPlan.model_validate(data), PlanSource(None)
    except ValidationError as failure:
        problem = describe(failure.errors()[0], data, SweepPlan)
        flag = str(problem.keys[0]).replace("_", "-") if problem.keys else "models"
        raise UsageError(f"--{flag}: {problem.message}") from None


def split_words(text: str | None) -> list[str] | None:
    """The comma-separated words of a flag; None where it was not given."""
    if text is None:
        return None
    return [word for part in text.split(",") if (word := part.strip())]


def split_counts(text: str | None, flag: str) -> Sequence[int] | None:
    """The comma-separated whole numbers of a flag. Raises UsageError."""
    words = split_words(text)
    if words is None:
        return None
    for word in words:
        if not word.isdecimal():
            raise UsageError(f"{flag} {text}: expected whole numbers such as 1,4, got '{word}'")
    return [int(word) for word in words]
