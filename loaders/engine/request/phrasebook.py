"""What was said lately, in which the next words of a reply are looked up before they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .draft import Draft
from .encoding import Prepared

# Looking one of them up takes some 20 microseconds when they are so many.
MOST_HEARD = 32_768


@dataclass(frozen=True, slots=True)
class Guess:
    """Tokens that followed before, and how many of the last tokens were the same then: 1 to 3."""

    known: int
    token_ids: list[int]


class Phrasebook:
    """The latest tokens of prompts and replies, the reply that is being written last.

    Every guess is checked by the model, so nothing depends on it but speed and, in 16 bits, how a
    token is rounded that was drawn beside others.

    Args:
        keeps: whether earlier requests stay known. If not, each is guessed from its own words, so
            that it is answered in the same steps, rounded alike, whatever was asked before.
        most: tokens that are remembered.
    """

    def __init__(self, keeps: bool = True, most: int = MOST_HEARD):
        self._keeps = keeps
        self._ids = np.zeros(most, dtype=np.int64)
        self._size = 0
        self._speaker: Draft | None = None
        self._heard = 0

    def hear(self, prepared: Prepared, draft: Draft) -> None:
        """Take down what a reply has more than when it was last heard, and its prompt's text
        before it unless it was the last to be heard.
        """
        if draft is not self._speaker or self._heard > len(draft.token_ids):
            if not self._keeps:
                self._size = 0
            self._add(prepared.ids[prepared.content[:, 1] == 0])  # no tokens of pictures
            self._speaker, self._heard = draft, 0
        self._add(np.asarray(draft.token_ids[self._heard :], dtype=np.int64))
        self._heard = len(draft.token_ids)

    def guess(self, count: int) -> Guess | None:
        """At most so many tokens that followed when the last three were heard before, else the
        last two, else the last; where that was more than once, the last time.
        """
        heard = self._ids[: self._size]
        if self._size < 3 or count < 1:
            return None
        ends = np.flatnonzero(heard[:-1] == heard[-1])
        if not len(ends):
            return None
        known = 1
        for back in (1, 2):
            # An index before the first token wraps around, and guesses something; no harm is done.
            same = ends[heard[ends - back] == heard[-1 - back]]
            if not len(same):
                break
            ends, known = same, known + 1
        # In a text that repeats itself the last time has no end yet.
        whole = ends[ends + count < self._size]
        after = int(whole[-1] if len(whole) else ends[0]) + 1
        return Guess(known, heard[after : after + count].tolist())

    def _add(self, ids: np.ndarray) -> None:
        most = len(self._ids)
        ids = ids[-(most // 2) :]
        if self._size + len(ids) > most:  # only the later half stays
            kept = self._ids[self._size - most // 2 : self._size].copy()
            self._ids[: len(kept)], self._size = kept, len(kept)
        self._ids[self._size : self._size + len(ids)] = ids
        self._size += len(ids)
