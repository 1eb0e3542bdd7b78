"""How long work tells what it is doing. The cli draws it; the library only reports."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A listener for the phases of one command."""

    def step(self, text: str) -> None:
        """A phase begins, e.g. "convert to ncnn fp32: verify"."""

    def update(self, done: float, total: float | None) -> None:
        """How far the current phase is; `total` is None when nobody knows."""

    def note(self, text: str) -> None:
        """Something that the user should read, though it is not an error."""


class Silent:
    """A Progress that nobody watches."""

    def step(self, text: str) -> None:
        del text

    def update(self, done: float, total: float | None) -> None:
        del done, total

    def note(self, text: str) -> None:
        del text
