"""Lines for captions, the node's and ours: what became of each, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from qwen3vl_utils.roots.listing import PICTURE_ENDINGS
from qwen3vl_utils.text.printable import on_one_line

from .errors import RunError

WRITTEN, SKIPPED, FAILED, PENDING = "written", "skipped", "failed", "pending"
_CLOSING = re.compile(r"\n?(written|would write) (\d+), skipped (\d+), failed (\d+)$")
_STATE = re.compile(rf"({WRITTEN}|{SKIPPED}|{FAILED}|{PENDING}|would write) +(?=\S)")
_ENDINGS = "|".join(re.escape(ending) for ending in PICTURE_ENDINGS)
# A name may hold ": " itself, so it goes up to the ending of a picture, or of a folder.
_NAME = re.compile(rf"(.*?(?:{_ENDINGS})(?: \[[^\]]*\])?|[^:]*/)(?:: (.*))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One caption: `name` is the picture's path below its folder, with the further preset."""

    name: str
    state: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:8}{self.name}" + (f": {self.detail}" if self.detail else "")


@dataclass(slots=True)
class Ledger:
    """Lines, their counts, and whether the node left lines out of a very long ledger."""

    lines: list[Line] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    shortened: bool = False
    dry_run: bool = False

    def add(self, name: str, state: str, detail: str = "") -> None:
        """Enter one caption."""
        self.lines.append(Line(on_one_line(name), state, on_one_line(" ".join(detail.split()))))
        self.counts[state] += 1

    @property
    def summary(self) -> str:
        """The closing line."""
        return closing_line(self.counts, self.dry_run)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.lines), self.summary])


def closing_line(counts: Counter[str], dry_run: bool = False) -> str:
    """The counts in the node's words."""
    first = f"would write {counts[PENDING]}" if dry_run else f"{WRITTEN} {counts[WRITTEN]}"
    return f"{first}, {SKIPPED} {counts[SKIPPED]}, {FAILED} {counts[FAILED]}"


def total(ledgers: Iterable[Ledger]) -> Counter[str]:
    """All counts together."""
    counts: Counter[str] = Counter()
    for ledger in ledgers:
        counts.update(ledger.counts)
    return counts


def read_ledger(text: str) -> Ledger:
    """The ledger of the node.

    Raises:
        RunError: it has no closing line, so it is no ledger or not all of one.
    """
    closing = _CLOSING.search(text)
    if closing is None:
        raise RunError(f"The server's answer is no ledger: {text[:1000]!r}. Run it again.")
    dry_run = closing[1] == "would write"
    ledger = Ledger(dry_run=dry_run)
    counts = zip(
        (PENDING if dry_run else WRITTEN, SKIPPED, FAILED), closing.groups()[1:], strict=True
    )
    ledger.counts.update({state: int(number) for state, number in counts})
    for row in text[: closing.start()].split("\n"):
        if line := _line(row, dry_run):
            ledger.lines.append(line)
    ledger.shortened = len(ledger.lines) != ledger.counts.total()
    return ledger


def _line(row: str, dry_run: bool) -> Line | None:
    """One line; None for remarks such as that of a shortened ledger."""
    state = _STATE.match(row)
    if state is None:
        return None
    rest = row[state.end() :]
    name = _NAME.fullmatch(rest)
    said = PENDING if dry_run and state[1] in (WRITTEN, "would write") else state[1]
    if name is None:
        head, _, detail = rest.partition(": ")
        return Line(head, said, detail)
    return Line(name[1], said, name[2] or "")
