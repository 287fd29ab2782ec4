"""What every engine, local or remote, offers to the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ...utils.chat.messages import Progress, Reply, Request
from ...utils.errors import Qwen3VLError

# Called at every step of a generation, in the caller's thread. Whatever it raises ends the
# run at once and passes through unchanged: that is how an interrupt gets in.
OnProgress = Callable[[Progress], None]

# A request that cannot be answered is reported in its place; the others go on.
Outcome = Reply | Qwen3VLError


class Engine(Protocol):
    """Many requests in, outcomes out as they finish."""

    def generate(
        self, requests: Iterable[Request], on_progress: OnProgress = ...
    ) -> Iterator[tuple[int, Outcome]]:
        """Yield `(index of the request, its outcome)`, in the order of finishing.

        `requests` is read lazily, a little ahead of need and in the caller's thread, so a
        generator that opens files holds only a few pictures in memory. Results do not depend
        on how many requests run together. Closing the iterator early frees what it holds.
        """
        ...

    def drop_buffers(self) -> None:
        """Let go of whatever points at the weights, which are about to move; stays usable."""
        ...

    def close(self) -> None:
        """Give back every buffer; the engine must not be used afterwards."""
        ...
