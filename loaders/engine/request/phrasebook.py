"""What was said lately, in which the next words of a reply are looked up before they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .draft import Draft
from .encoding import Prepared

# Looking one of them up takes some 20 microseconds when they are so many.
MOST_HEARD = 32_768
# A step that checks guesses takes about so many plain steps more than one, on the device where it
# is dearest (measured on a CPU); so many guesses must be right for it to pay.
PRICE = 0.7
# Trust after a guess that was only watched, and right; and the most that can be gathered.
EARNED, MOST_TRUST = 1.5, 6.0


@dataclass(slots=True)
class Trust:
    """Whether guesses pay for one reply, by those that were right so far.

    It has to be earned first, by a guess that costs nothing: the model is not asked about it, and
    writes the token that was guessed all the same.
    """

    balance: float = 0.0
    watched: tuple[int, int] | None = None  # a place in the reply, and the token guessed for it

    def holds(self, token_ids: Sequence[int]) -> bool:
        """Whether something should be guessed after these tokens of the reply."""
        if self.watched is not None and len(token_ids) > self.watched[0]:
            place, token = self.watched
            self.watched = None
            if token_ids[place] == token:
                self.balance = EARNED
        return self.balance > 0

    def saw(self, right: int) -> None:
        """So many guesses were right in one step."""
        self.balance = min(MOST_TRUST, self.balance + right - PRICE)


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

    def guess(self, count: int) -> list[int]:
        """At most so many tokens that followed when the last three were heard before, or the last
        two; where that was more than once, the last time.
        """
        heard = self._ids[: self._size]
        if self._size < 3 or count < 1:
            return []
        # An index before the first token wraps around, and guesses something; no harm is done.
        ends = np.flatnonzero(heard[:-1] == heard[-1])
        ends = ends[heard[ends - 1] == heard[-2]]
        if len(same := ends[heard[ends - 2] == heard[-3]]):
            ends = same
        if not len(ends):
            return []
        # In a text that repeats itself the last time has no end yet.
        whole = ends[ends + count < self._size]
        after = int(whole[-1] if len(whole) else ends[0]) + 1
        return heard[after : after + count].tolist()

    def _add(self, ids: np.ndarray) -> None:
        most = len(self._ids)
        ids = ids[-(most // 2) :]
        if self._size + len(ids) > most:  # only the later half stays
            kept = self._ids[self._size - most // 2 : self._size].copy()
            self._ids[: len(kept)], self._size = kept, len(kept)
        self._ids[self._size : self._size + len(ids)] = ids
        self._size += len(ids)
