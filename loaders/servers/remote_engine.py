"""The engine of a server: the same requests in, the same replies out, as from a local one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from ...utils.chat.requests import Progress, Request
from ..engine.protocol import OnProgress, Outcome
from .wire.exchange import Exchange
from .wire.origins import Origins
from .wire.pace import MOST_IN_FLIGHT, Pace
from .wire.payload import Terms
from .wire.sending import Rules

# The caller gets a turn this often, however long a server thinks.
TURN_SECONDS = 0.1


def _unwatched(progress: Progress) -> None:
    """The callback of callers who do not watch."""


class RemoteEngine:
    """Keeps requests in flight at one server, or at several alike.

    Args:
        terms: how they are asked.
        rules: their name, the key, and how long to wait.
        bases: their addresses.
        in_flight: how many requests at once at each; 0 finds it out, beginning with
            `first_in_flight`.
    """

    def __init__(
        self,
        terms: Terms,
        rules: Rules,
        bases: tuple[str, ...],
        in_flight: int = 0,
        first_in_flight: int = 0,
    ):
        first = in_flight or first_in_flight or terms.dialect.first_in_flight
        most = in_flight or MOST_IN_FLIGHT
        self._terms, self._rules = terms, rules
        # Kept from one run to the next: what a server likes is learned once.
        self.origins = Origins(
            bases, lambda: Pace(first, most, fixed=bool(in_flight)), rules.first_pause_s
        )

    def generate(
        self, requests: Iterable[Request], on_progress: OnProgress = _unwatched
    ) -> Iterator[tuple[int, Outcome]]:
        """See `Engine.generate`."""
        numbered = enumerate(requests)
        started, finished, tokens = time.perf_counter(), 0, 0
        more = True
        with Exchange(self._terms, self._rules, self.origins) as exchange:
            while more or exchange.open:
                if more and exchange.wants_more:
                    following = next(numbered, None)
                    more = following is not None
                    if following is not None:
                        exchange.submit(*following)
                wait_s = 0.0 if more and exchange.wants_more else TURN_SECONDS
                taken = exchange.take(wait_s) if exchange.open else None
                if taken is not None:
                    finished += 1
                    tokens += getattr(taken[1], "tokens", 0)
                shown, text, writing = exchange.glimpse
                seconds = time.perf_counter() - started
                running = exchange.open
                on_progress(
                    Progress(
                        *(finished, running, tokens + writing, seconds, text, shown),
                        exchange.unfinished,
                    )
                )
                if taken is not None:
                    yield taken

    def drop_buffers(self) -> None:
        """Nothing to do: the weights are the server's."""

    def close(self) -> None:
        """Nothing to do: every run closes its own connections."""
