"""What every model and its engine, local or remote, offer to the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from ...utils.chat.requests import Outcome, Progress, Request

if TYPE_CHECKING:
    from ..settings import Adapter

# Called at every step of a generation, in the caller's thread. Whatever it raises ends the
# run at once and passes through unchanged: that is how an interrupt gets in.
OnProgress = Callable[[Progress], None]


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


class Model(Protocol):
    """What travels between nodes: a light handle, on whatever it runs."""

    @property
    def name(self) -> str:
        """The model's name, as a menu or its server has it."""
        ...

    @property
    def identity(self) -> str:
        """What decides its answers, apart from rounding."""
        ...

    @property
    def making(self) -> str:
        """What else decides them, as a digest: the files as they are; "" where nobody knows."""
        ...

    def open(self) -> AbstractContextManager[Engine]:
        """An engine, ours for the length of the `with` block.

        Raises:
            Qwen3VLError: it cannot be used here; says why and what can.
        """
        ...

    def with_adapter(self, adapter: Adapter) -> Model:
        """The same model with one adapter more.

        Raises:
            InputError: it takes none.
        """
        ...

    def unload(self) -> None:
        """Give back the memory that it takes here."""
        ...

    def describe(self) -> str:
        """What it is and how it will run.

        Raises:
            Qwen3VLError: it cannot.
        """
        ...
