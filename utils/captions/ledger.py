"""What became of each file of a folder run, in memory and line by line on the disk."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from ..roots.allowed_folders import Folder
from ..text.natural_sort import natural_key
from ..text.printable import on_one_line

# The whole ledger, beside the captions.
LEDGER_NAME = ".qwen3vl-ledger.log"
State = Literal["written", "skipped", "failed"]
STATES: tuple[State, ...] = ("written", "skipped", "failed")
# So many lines are shown, and so many failures more; a browser is slow with more of them.
SHOWN_LINES = 2_000


@dataclass(frozen=True, slots=True)
class Line:
    """One picture: what happened, and for a failure also what to do."""

    name: str
    state: State
    detail: str = ""
    planned: bool = False  # in a dry run nothing is written

    def __str__(self) -> str:
        state = "pending" if self.planned and self.state == "written" else self.state
        return f"{state:8}{self.name}" + (f": {self.detail}" if self.detail else "")


@dataclass(slots=True)
class Ledger:
    """Lines as the pictures are dealt with; as text they are in the order of their names.

    Of a very long run only a part of the lines is kept; `on_line` gets every one of them, and
    `whole` says where it puts them. Used by several threads.
    """

    on_line: Callable[[Line], None] | None = None
    whole: str = ""
    dry_run: bool = False
    lines: list[Line] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _kept: Counter[bool] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, state: State, detail: str = "") -> None:
        """Enter one picture; line breaks would break the ledger's form."""
        line = Line(on_one_line(name), state, on_one_line(" ".join(detail.split())), self.dry_run)
        failed = state == "failed"
        with self._lock:
            self._counts[state] += 1
            if self._kept[failed] < SHOWN_LINES:
                self._kept[failed] += 1
                self.lines.append(line)
            if self.on_line is not None:
                self.on_line(line)

    def count(self, state: State) -> int:
        """How many pictures came to this."""
        return self._counts[state]

    @property
    def total(self) -> int:
        """How many pictures have been entered."""
        return sum(self._counts.values())

    @property
    def summary(self) -> str:
        """The closing line."""
        text = ", ".join(f"{state} {self.count(state)}" for state in STATES)
        return text.replace("written", "would write", 1) if self.dry_run else text

    def __str__(self) -> str:
        by_name = sorted(self.lines, key=lambda line: natural_key(line.name))
        left_out = self.total - len(self.lines)
        where = f", all of them in {self.whole}" if self.whole else ""
        more = [f"... and {left_out} lines more{where}"] if left_out else []
        return "\n".join([*map(str, by_name), *more, self.summary])


class LedgerFile:
    """Takes every line of a ledger; a disk that takes no more ends it, not the run.

    Raises:
        OSError: it cannot be begun.
    """

    def __init__(self, folder: Folder):
        with folder.open_real() as opened:
            handle = opened.open(LEDGER_NAME, os.O_WRONLY | os.O_CREAT)
        os.ftruncate(handle, 0)  # once it is known to be a file of ours
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="\n", buffering=1)
        self._broken = False

    def add(self, line: Line | str) -> None:
        """Write one line."""
        if self._broken:
            return
        try:
            self._file.write(f"{line}\n")
        except OSError:
            self._broken = True

    def __enter__(self) -> LedgerFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError:
            self._broken = True
