"""Whether guesses pay for one reply: how often they were right in it, and what a check costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# What a step takes that checks guesses, in plain steps: pairs of its rows, and the price. Constants
# and no clock, so that what is asked twice is answered in the same steps.
Prices = tuple[tuple[int, float], ...]
ON_CPU: Prices = ((2, 1.25), (4, 1.4), (8, 1.7))
# How often guesses are taken to be right where one, two, three or more tokens were known: somewhat
# less than in documents (0.2, 0.4, 0.6, 0.8), so that a reply has to show where they pay. It counts
# as much as so many that were seen, and older ones count for less with each new one.
FIRST_CHANCES, COUNTED, FADING = (0.1, 0.25, 0.4, 0.8), 4.0, 0.97
# A check has to bring so much more than plain steps do.
MARGIN = 1.05


@dataclass(slots=True)
class Odds:
    """How often guesses were right in one reply, apart by how many tokens before them were known.

    A guess that is not checked is watched, which costs nothing: the model writes its own token.
    """

    prices: Prices = ON_CPU
    _watched: tuple[int, int, int] | None = None  # place in the reply, tokens known, token guessed
    _right: list[float] = field(default_factory=lambda: [COUNTED * one for one in FIRST_CHANCES])
    _seen: list[float] = field(default_factory=lambda: [COUNTED] * len(FIRST_CHANCES))

    def chance(self, known: int) -> float:
        """That a guess behind so many known tokens is right."""
        at = min(known, len(self._seen)) - 1
        return self._right[at] / self._seen[at]

    def rows(self, count: int) -> tuple[int, float]:
        """The rows that so many guesses and the reply's own take, and the price of the step."""
        return next(one for one in self.prices if one[0] > count)

    def worth(self, known: int, count: int, unread: int = 0) -> int:
        """How many of `count` guesses should be checked, 0 where that does not pay; `unread`
        tokens before them are guessed too, drawn by steps that were not read yet.
        """
        run, tokens, best, most = 1.0, 1.0, MARGIN, 0
        for further in range(unread + count):
            run *= self.chance(known + further)
            if (guesses := further + 1 - unread) > 0:
                tokens += run
                if (gain := tokens / self.rows(guesses)[1]) > best:
                    best, most = gain, guesses
        return most

    def watch(self, place: int, known: int, token: int) -> None:
        """This token is guessed for a place in the reply; `look` says whether it was right."""
        self._watched = place, known, token

    def look(self, token_ids: Sequence[int]) -> None:
        """So far the reply is written."""
        if self._watched is not None and len(token_ids) > self._watched[0]:
            place, known, token = self._watched
            self._watched = None
            self._learn(known, token_ids[place] == token)

    def saw(self, known: int, count: int, right: int) -> None:
        """So many of `count` guesses were right in one step; behind the first wrong one nothing
        is learned.
        """
        for further in range(min(right + 1, count)):
            self._learn(known + further, further < right)

    def _learn(self, known: int, right: bool) -> None:
        at = min(known, len(self._seen)) - 1
        self._right[at] = self._right[at] * FADING + right
        self._seen[at] = self._seen[at] * FADING + 1
