"""pydantic's validation errors in the words of a person: key path, expectation, nearest valid key."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel
from pydantic_core import PydanticCustomError

from edgeflow.config.suggest import nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

KeyPath = tuple[str | int, ...]


def checked_name(name: str) -> str:
    """`name` itself. Raises ValueError unless it is letters, digits, '.', '_' and '-'."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"expected a name of letters, digits, '.', '_' and '-', got '{name}'")
    return name


Name = Annotated[str, AfterValidator(checked_name)]
"""A name of the user's choice that is safe on a command line and as a file name."""


def key_error(message: str, *keys: str | int) -> PydanticCustomError:
    """An error that a validator of several fields raises about the one at `keys` below its model."""
    return PydanticCustomError("edgeflow_key", "{message}", {"message": message, "keys": list(keys)})


@dataclass(frozen=True, slots=True)
class Problem:
    """One validation error: the file's own key path and what to say about it.

    Problems of a lower `rank` are told first: a misspelt key explains why the right one is missing.
    """

    keys: KeyPath
    message: str
    rank: int = 1


def describe(error: ErrorDetails, data: Any, model: type[BaseModel]) -> Problem:
    """One of pydantic's errors about `data` as a Problem."""
    keys = _path_in_data(error["loc"], data, absent=error["type"] == "missing")
    context = error.get("ctx", {})
    given = error["input"]
    match error["type"]:
        case "edgeflow_key":
            return Problem((*keys, *context["keys"]), context["message"])
        case "extra_forbidden":
            known = _known_keys(model, keys[:-1])
            match_ = nearest(str(keys[-1]), known)
            guess = f"did you mean '{match_}'?" if match_ else f"known keys: {', '.join(known)}"
            return Problem(keys, f"unknown key; {guess}", rank=0)
        case "missing" if isinstance(error["loc"][-1], int):
            return Problem(keys, f"too few values: {_shown(_value_at(data, keys))}")
        case "missing":
            return Problem(keys, "missing, and required", rank=2)
        case "literal_error":
            options = [str(option) for option in _literal_options(context["expected"])]
            match_ = nearest(str(given), options)
            guess = f"; did you mean '{match_}'?" if match_ else ""
            return Problem(keys, f"expected one of {', '.join(options)}, got {_shown(given)}{guess}")
        case "too_short":
            return Problem(keys, f"expected {context['min_length']} entry or more, got none")
        case "value_error":
            return Problem(keys, str(context["error"]))
    if given is None:
        return Problem(keys, f"has no value; {_expectation(error)}")
    return Problem(keys, f"{_expectation(error)}, got {_shown(given)}")


def _path_in_data(location: KeyPath, data: Any, *, absent: bool) -> KeyPath:
    """pydantic's location without the parts that are no keys of the file, such as the names of union members.

    `absent`: the last part is a key that should be in the file and is not.
    """
    keys: list[str | int] = []
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(data, Mapping) and (part in data or (last and absent)):
            keys.append(part)
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            keys.append(part)
            data = data[part]
    return tuple(keys)


def _value_at(data: Any, keys: KeyPath) -> Any:
    for key in keys:
        data = data[key]
    return data


def _known_keys(model: type[BaseModel], keys: KeyPath) -> list[str]:
    current: Any = model
    for key in keys:
        current = _step(current, key)
    found = _model_in(current)
    if found is None:
        return []
    return [field.alias or name for name, field in found.model_fields.items()]


def _step(annotation: Any, key: str | int) -> Any:
    found = _model_in(annotation)
    if found is not None:
        field = next((f for n, f in found.model_fields.items() if (f.alias or n) == key), None)
        return None if field is None else field.annotation
    for member in _members(annotation):
        arguments = typing.get_args(member)
        if arguments:
            return arguments[1] if isinstance(key, str) and len(arguments) > 1 else arguments[0]
    return None


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return member
    return None


def _literal_options(expected: str) -> list[str]:
    """pydantic lists a Literal's values as `'a', 'b' or 'c'`."""
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _expectation(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    for bound, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if bound in context:
            return f"expected {words} {context[bound]}"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    for verbose, plain in (
        ("a valid dictionary", "'key: value' lines"),
        ("a valid string", "text"),
        ("a valid integer, unable to parse string as an integer", "a whole number"),
        ("a valid integer, got a number with a fractional part", "a whole number"),
        ("a valid integer", "a whole number"),
        ("a valid number, unable to parse string as a number", "a number"),
        ("a valid number", "a number"),
        ("a valid list", "a list"),
        ("a valid tuple", "a list"),
        ("a valid boolean, unable to interpret input", "true or false"),
        ("a valid boolean", "true or false"),
    ):
        if message.startswith(verbose):
            return f"expected {plain}"
    return f"expected {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
