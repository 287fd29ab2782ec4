"""The whole ledger of a run as a file, line by line as it happens."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from .ledger import Line

LEDGER_NAME = ".qwen3vl-ledger.log"


class LedgerFile:
    """Takes every line of a ledger; a disk that takes no more ends it, not the run.

    Raises:
        OSError: it cannot be begun.
    """

    def __init__(self, path: Path):
        self._file = path.open("w", encoding="utf-8", newline="\n", buffering=1)
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
