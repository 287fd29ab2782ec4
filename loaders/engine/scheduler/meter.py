"""Reports how far a run is, with the running text renewed only a few times a second."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ....utils.chat.requests import Progress
from ..protocol import OnProgress
from ..request.draft import Draft

# Decoding a long text again at every token would cost more than the token.
TEXT_EVERY_SECONDS = 0.1


def look_away_seconds(platform: str, python: tuple[int, int]) -> float:
    """How long to sleep between two looks at a device; a step may take only 2 ms.

    Windows sleeps 15 ms at least until Python 3.11; there 0 gives other threads their turn.
    """
    return 0.0 if platform == "win32" and python < (3, 11) else 2e-5


def ignore_progress(progress: Progress) -> None:
    """The callback of callers who do not watch."""


class Meter:
    """Counts the replies of one run and calls the caller's callback, which may raise."""

    def __init__(self, on_progress: OnProgress):
        self._on_progress = on_progress
        self._started = time.perf_counter()
        self._text, self._text_at = "", 0.0
        self._index: int | None = None
        self.finished = 0
        self.finished_tokens = 0

    def finish(self, tokens: int) -> None:
        """Count one request as finished, with the tokens of its reply."""
        self.finished += 1
        self.finished_tokens += tokens

    def report(self, running: Mapping[int, Draft]) -> None:
        """Tell the caller where the run stands, with the drafts of its requests, the oldest
        first; passes on whatever the callback raises.
        """
        now = time.perf_counter()
        if self._index not in running:  # it has been answered: its text is no longer news
            self._index, self._text = None, ""
        if running and now - self._text_at >= TEXT_EVERY_SECONDS:
            self._index, draft = next(iter(running.items()))
            self._text, self._text_at = draft.written(), now
        tokens = self.finished_tokens + sum(len(draft.token_ids) for draft in running.values())
        self._on_progress(
            Progress(
                self.finished,
                len(running),
                tokens,
                now - self._started,
                self._text,
                self._index,
                lambda: {index: draft.interrupted() for index, draft in running.items()},
            )
        )
