"""What became of each picture of a folder run; every input is in it exactly once."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from .natural_order import natural_key

State = Literal["written", "skipped", "failed"]
# Unicode categories: control characters, halves of surrogate pairs, line and paragraph ends.
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")


@dataclass(frozen=True, slots=True)
class Line:
    """One picture: what happened, and for a failure also what to do."""

    name: str
    state: State
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:8}{self.name}" + (f": {self.detail}" if self.detail else "")


def _on_one_line(text: str) -> str:
    """Line breaks, control characters and bytes that are no text, as a name may hold, escaped."""
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in _NO_TEXT else char for char in text
    )


@dataclass(slots=True)
class Ledger:
    """Lines as the pictures are dealt with; as text they are in the order of their names."""

    lines: list[Line] = field(default_factory=list)

    def add(self, name: str, state: State, detail: str = "") -> None:
        """Enter one picture; line breaks would break the ledger's form."""
        self.lines.append(Line(_on_one_line(name), state, _on_one_line(" ".join(detail.split()))))

    def count(self, state: State) -> int:
        """How many pictures came to this."""
        return sum(line.state == state for line in self.lines)

    @property
    def summary(self) -> str:
        """The closing line."""
        states: tuple[State, ...] = ("written", "skipped", "failed")
        return ", ".join(f"{state} {self.count(state)}" for state in states)

    def __str__(self) -> str:
        by_name = sorted(self.lines, key=lambda line: natural_key(line.name))
        return "\n".join([*map(str, by_name), self.summary])
