"""Requests on their way to an outcome, those that wait, and the rules of a run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ....utils.chat.requests import Request
from ....utils.errors import GenerationError, Qwen3VLError
from .answers import Writing
from .origins import FIRST_PAUSE_S, Origin, Origins
from .payload import Payload
from .verdicts import Trouble, too_slow

# So long all servers may be away before what is asked of them fails; a restart takes less.
PATIENCE_S = 180.0

# A timer that is set to the past would never let others run.
SHORTEST_WAIT_S = 0.001


@dataclass(slots=True, eq=False)
class Sending:
    """One request on its way to an outcome."""

    index: int
    request: Request
    stream: bool
    size_bytes: int
    deadline: float
    payload: Payload | None = None
    tries: int = 0
    not_before: float = 0.0
    last: Trouble | None = None
    last_origin: Origin | None = None
    writing: Writing = field(default_factory=Writing)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every request of a run; the pauses are shorter in tests."""

    server: str
    key: str
    timeout_s: float
    patience_s: float = PATIENCE_S
    first_pause_s: float = FIRST_PAUSE_S


class Waiting:
    """In the order in which they came; who was sent before comes first."""

    def __init__(self, rules: Rules, origins: Origins):
        self._rules, self._origins = rules, origins
        self._items: deque[Sending] = deque()

    def add(self, item: Sending) -> None:
        """A new one."""
        self._items.append(item)

    def put_back(self, item: Sending) -> None:
        """One whose try has failed."""
        self._items.appendleft(item)

    def in_vain(self, now: float) -> list[tuple[Sending, Qwen3VLError]]:
        """Take out those whose deadline has passed, or that no server will be there for."""
        away = self._origins.all_down_since()
        hopeless = away is not None and now - away >= self._rules.patience_s
        given_up = [
            item
            for item in self._items
            if hopeless or now >= item.deadline or self._origins.shut_beyond(item.deadline)
        ]
        for item in given_up:
            self._items.remove(item)
        return [(item, self._why(item, hopeless)) for item in given_up]

    def _why(self, item: Sending, hopeless: bool) -> Qwen3VLError:
        if not hopeless:
            shut = self._origins.shut_beyond(item.deadline)
            return shut.error if shut else late(self._rules, item)
        if item.last is not None:
            return item.last.error
        return GenerationError(
            f"The server {self._rules.server!r} has not answered for {self._rules.patience_s:g} s.",
            "Start it again, and run again: what is done stays done.",
        )

    def ready(self, now: float) -> Iterator[tuple[Sending, Origin]]:
        """Take out those that can be sent now, each with a server that has room for it."""
        later: deque[Sending] = deque()
        while self._items:
            item = self._items.popleft()
            if item.not_before > now:
                later.append(item)
                continue
            origin = self._origins.choose(now, item.last_origin)
            if origin is None:
                later.append(item)
                break
            yield item, origin
        self._items = later + self._items

    def next_look_s(self, now: float) -> float | None:
        """In how many seconds something may have changed; None where nothing waits."""
        if not self._items:
            return None
        times = [item.deadline for item in self._items]
        times += [t for item in self._items if (t := item.not_before) > now]
        times += [t for origin in self._origins.all if (t := origin.try_at) > now]
        away = self._origins.all_down_since()
        if away is not None:
            times.append(away + self._rules.patience_s)
        return max(SHORTEST_WAIT_S, min(times) - now)


def late(rules: Rules, item: Sending) -> GenerationError:
    """The error of one whose deadline has passed."""
    return too_slow(rules.server, rules.timeout_s, item.last)
