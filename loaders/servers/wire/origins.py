"""Several servers that answer alike: which one is asked next, and which are left out for now."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .pace import Pace
from .verdicts import Trouble

# A server that is away is tried again after so long, and after twice that each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0


@dataclass(slots=True, eq=False)
class Origin:
    """One address, and how it does. `down_since` is set while nothing answers there.

    Until `shut_until` it asked to be left alone, with the words of `shut_by`.
    """

    base: str
    pace: Pace
    in_flight: int = 0
    failures: int = 0
    down_since: float | None = None
    try_at: float = 0.0
    shut_until: float = 0.0
    shut_by: Trouble | None = None

    def room(self, now: float) -> int:
        """How many more requests it may get now; one that is down gets one, to try it."""
        if now < self.try_at:
            return 0
        most = 1 if self.down_since is not None else self.pace.limit
        return max(0, most - self.in_flight)


class Origins:
    """All addresses of one profile. Times are seconds of any steady clock."""

    def __init__(
        self, bases: Sequence[str], pace: Callable[[], Pace], first_pause_s: float = FIRST_PAUSE_S
    ):
        self.all = [Origin(base, pace()) for base in bases]
        self._first_pause_s = first_pause_s

    def tls(self) -> ssl.SSLContext | bool:
        """One context for all connections, as making one takes long; False where none is needed."""
        secure = any(origin.base.startswith("https:") for origin in self.all)
        return ssl.create_default_context() if secure else False

    def choose(self, now: float, avoid: Origin | None = None) -> Origin | None:
        """The one with the most room for its size; `avoid` only where no other has any."""
        free = [origin for origin in self.all if origin.room(now)]
        return min(
            free,
            key=lambda o: (o is avoid, o.down_since is not None, o.in_flight / o.pace.limit),
            default=None,
        )

    def answered(self, origin: Origin) -> None:
        """It answered, whatever it said: it is there."""
        origin.failures, origin.down_since, origin.try_at, origin.shut_until = 0, None, 0.0, 0.0

    def failed(self, origin: Origin, now: float, trouble: Trouble) -> None:
        """It did not answer, or asked to be left alone for a while."""
        after_s = trouble.after_s
        pause = min(self._first_pause_s * 2 ** min(origin.failures, 20), LONGEST_PAUSE_S)
        origin.failures += 1
        origin.try_at = max(origin.try_at, now + (pause if after_s is None else after_s))
        if after_s is not None:
            origin.shut_until, origin.shut_by = now + after_s, trouble
        if trouble.down and origin.down_since is None:
            origin.down_since = now

    def in_flight_limit(self) -> int:
        """How many requests all of them together may have; one that is down counts as one."""
        return sum(1 if o.down_since is not None else o.pace.limit for o in self.all)

    def shut_beyond(self, deadline: float) -> Trouble | None:
        """What the first said, where all want to be left alone longer; None where one may do."""
        if any(o.in_flight or o.shut_until < deadline for o in self.all):
            return None
        return self.all[0].shut_by

    def all_down_since(self) -> float | None:
        """Since when none of them answers; None while one does."""
        downs = [o.down_since for o in self.all if o.down_since is not None]
        return max(downs) if len(downs) == len(self.all) else None
