"""How many requests are kept in flight at one server: raised until that no longer helps."""

from __future__ import annotations

from dataclasses import dataclass

MOST_IN_FLIGHT = 256
RAISE, BACK = 1.5, 0.5
# A higher number has to bring so much more, or it is not kept.
WORTHWHILE = 1.05
# So many rounds are answered before more is tried again after it did not help.
REST_ROUNDS = 8


@dataclass(slots=True)
class Pace:
    """Counts answers by rounds: as many as were in flight when the round began.

    A round that was faster than the last one, in tokens a second, raises the number; one that
    was not puts it back for a while. A server that says that it has too much to do halves it.
    `most` bounds it; where `fixed`, it stays as it began.
    """

    limit: int
    most: int = MOST_IN_FLIGHT
    fixed: bool = False
    _began: float = -1.0
    _answers: int = 0
    _amount: float = 0.0
    _rate: float = 0.0
    _kept: int = 0
    _rest: int = 0

    def __post_init__(self) -> None:
        self.limit = max(1, min(self.limit, self.most))
        self._kept = self.limit

    def answered(self, now: float, amount: float, in_flight: int) -> None:
        """Count an answer, of so many tokens, at a time in seconds; others are `in_flight`."""
        if self.fixed:
            return
        if self._began < 0:
            self._began = now
            return
        self._answers += 1
        self._amount += max(1.0, amount)
        if self._answers < self.limit:
            return
        seconds, full = now - self._began, in_flight + 1 >= self.limit
        rate = self._amount / seconds if seconds > 0 else 0.0
        self._begin(now)
        if full:  # else there was not enough to do, and nothing is learned
            self._decide(rate)

    def overloaded(self, now: float) -> None:
        """The server said that it has too much to do."""
        self._begin(now)
        if self.fixed:
            return
        self.limit = self._kept = max(1, int(self.limit * BACK))
        self._rate, self._rest = 0.0, REST_ROUNDS

    def _begin(self, now: float) -> None:
        self._began, self._answers, self._amount = now, 0, 0.0

    def _decide(self, rate: float) -> None:
        if self._rest > 1:
            self._rest -= 1
        elif self._rest == 1 or rate >= self._rate * WORTHWHILE:
            self._rest, self._rate, self._kept = 0, rate, self.limit
            self.limit = min(self.most, max(self.limit + 1, int(self.limit * RAISE)))
        else:
            self.limit, self._rest = self._kept, REST_ROUNDS
