"""YAML with positions: a file becomes plain data, and every error names its file and line.

Scalars follow the YAML 1.2 core schema (yaml.org/spec/1.2.2, section 10.3) rather than PyYAML's 1.1: `no` and
`on` stay words, `1e-3` is a number, `12:30` and dates stay text. Stricter than the schema, `010` and `True`
stay text too, so that what is read is what is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from edgeflow.config.validation import KeyPath, Problem, describe
from edgeflow.errors import UsageError

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_NODES = 200_000
"""Aliases may expand to more data than the file holds; beyond this a file is refused."""

_NULL = "tag:yaml.org,2002:null"
_BOOL = "tag:yaml.org,2002:bool"
_INT = "tag:yaml.org,2002:int"
_FLOAT = "tag:yaml.org,2002:float"


_SCALARS = (  # tag, pattern, the characters that such a scalar may begin with
    (_BOOL, r"true|false", "tf"),
    (_NULL, r"null|~|", ("n", "~", "")),
    (_INT, r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", "-+.0123456789"),
    (_FLOAT, r"[-+]?\.inf|\.nan", "-+."),
)


def _core_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, first_characters in _SCALARS:
        for first in first_characters:
            resolvers.setdefault(first, []).append((tag, re.compile(rf"^(?:{pattern})$")))
    return resolvers


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader whose plain scalars follow the YAML 1.2 core schema."""

    yaml_implicit_resolvers = _core_resolvers()


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One YAML file as plain data, with the line (from 1) of each key path."""

    path: Path
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def line_of(self, keys: KeyPath) -> int:
        """The line of a key path, or of its nearest ancestor that the file holds."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def error(self, keys: KeyPath, message: str, *, hint: str = "", detail: str = "") -> UsageError:
        """A UsageError `file:line: key.path: message`, to be raised by the caller."""
        where = f"{self.path}:{self.line_of(keys)}: "
        dotted = ".".join(str(key) for key in keys)
        return UsageError(f"{where}{dotted + ': ' if dotted else ''}{message}", hint=hint, detail=detail)

    def validate(self, model: type[ModelT]) -> ModelT:
        """The data as `model`. Raises UsageError: the first error in one line, the others in its detail."""
        try:
            return model.model_validate(self.data)
        except ValidationError as failure:
            problems = [describe(error, self.data, model) for error in failure.errors()]
        problems.sort(key=lambda problem: (problem.rank, self.line_of(problem.keys)))
        errors = [self.error(problem.keys, problem.message) for problem in _told(problems)]
        others = f" (and {len(errors) - 1} more in this file)" if len(errors) > 1 else ""
        detail = "\n".join(error.message for error in errors)
        raise UsageError(errors[0].message + others, detail=detail if others else "") from None


def load_yaml(path: Path) -> YamlDocument:
    """The mapping in the YAML file `path`.

    Raises UsageError, with the position, on a missing or unreadable file, on text that is not UTF-8 or not
    YAML, on a duplicate key, a tag, more than one document, an empty file, and on anything but a mapping.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start}): not a YAML file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, text, error) from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if node is None:
        raise UsageError(
            f"{path}:1: the file is empty", hint="docs/recipe.md and devices.yaml show what goes in"
        )
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise UsageError(f"{path}:{node.start_mark.line + 1}: expected 'key: value' lines, got {kind}")
    builder = _Builder(path)
    data = builder.build(node, ())
    return YamlDocument(path=path, data=data, lines=builder.lines)


def _told(problems: list[Problem]) -> list[Problem]:
    """One problem per key, and none about a value as a whole where one of its parts is at fault.

    Both come from keys that take values of several kinds: pydantic then tells why each kind does not fit.
    """
    first_per_key = {problem.keys: problem for problem in reversed(problems)}
    return [
        problem
        for problem in problems
        if first_per_key[problem.keys] is problem
        and not any(
            keys != problem.keys and keys[: len(problem.keys)] == problem.keys for keys in first_per_key
        )
    ]


def _syntax_error(path: Path, text: str, error: yaml.MarkedYAMLError) -> UsageError:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    source = text.splitlines()[line] if line < len(text.splitlines()) else ""
    if source[: len(source) - len(source.lstrip())].count("\t"):
        return UsageError(f"{path}:{line + 1}: a tab indents this line; YAML allows only spaces")
    problem = error.problem or error.context or "cannot be read"
    return UsageError(f"{path}:{line + 1}: not YAML: {problem}")


class _Builder:
    """Walks composed nodes into plain data and notes the line of every key path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, keys: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(keys, line)
        self._count += 1
        if self._count > MAX_NODES:
            raise UsageError(f"{self.path}:{line}: more than {MAX_NODES} values")
        if id(node) in self._open:
            raise UsageError(f"{self.path}:{line}: an alias inside its own anchor")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, keys)
            if isinstance(node, yaml.SequenceNode):
                return [self.build(child, (*keys, index)) for index, child in enumerate(node.value)]
            return self._scalar(node, line)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, keys: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise UsageError(f"{self.path}:{line}: a key must be a word, not a list or a mapping")
            key = str(key_node.value)
            if key in result:
                first = self.lines[(*keys, key)]
                dotted = ".".join(str(part) for part in (*keys, key))
                raise UsageError(f"{self.path}:{line}: {dotted}: duplicate key (first on line {first})")
            self.lines[(*keys, key)] = line
            result[key] = self.build(value_node, (*keys, key))
        return result

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        text = str(node.value)
        match node.tag:
            case "tag:yaml.org,2002:null":
                return None
            case "tag:yaml.org,2002:bool":
                return text == "true"
            case "tag:yaml.org,2002:int":
                return int(text)
            case "tag:yaml.org,2002:float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
            case "tag:yaml.org,2002:str":
                return text
        raise UsageError(f"{self.path}:{line}: the tag {node.tag} is not supported here")
