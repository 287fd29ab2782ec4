"""A thread with an event loop, in which the requests of one run are on their way."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ....utils.chat.requests import Outcome, Reply, Request
from .dispatch import ENCODERS, Dispatch
from .origins import Origins
from .payload import Terms
from .sending import Rules

# Leaving waits for closed requests no longer than an interrupt may take.
CLOSING_SECONDS = 1.5


class Exchange:
    """Use it with `with`, from one thread; leaving it closes every request that is open."""

    def __init__(self, terms: Terms, rules: Rules, origins: Origins):
        self._terms, self._rules, self._origins = terms, rules, origins
        self._outcomes: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dispatch: Dispatch | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="qwen3vl-server", daemon=True)
        self._submitted = self._taken = 0

    def __enter__(self) -> Exchange:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._call(self._stop.set)
            self._thread.join(CLOSING_SECONDS)

    @property
    def open(self) -> int:
        """How many requests have no outcome yet."""
        return self._submitted - self._taken

    @property
    def wants_more(self) -> bool:
        """Whether there is room for one more request."""
        return self._dispatch is not None and self._dispatch.wants_more

    @property
    def glimpse(self) -> tuple[int | None, str, int]:
        """The oldest request that is being written, its text, and the tokens of all that are."""
        for _ in range(3):
            with contextlib.suppress(RuntimeError):  # the loop changed what was read; once more
                assert self._dispatch is not None  # noqa: S101 - there since __enter__
                return *self._dispatch.shown, self._dispatch.tokens
        return None, "", 0

    def unfinished(self) -> dict[int, Reply]:
        """The answers as far as they are written; also after leaving."""
        for _ in range(3):
            with contextlib.suppress(RuntimeError):
                return self._dispatch.unfinished() if self._dispatch is not None else {}
        return {}

    def submit(self, index: int, request: Request) -> None:
        """Send a request when its turn comes."""
        self._submitted += 1
        assert self._dispatch is not None  # noqa: S101 - there since __enter__
        dispatch, added = self._dispatch, threading.Event()

        def add() -> None:
            dispatch.add(index, request)
            added.set()

        self._call(add)
        added.wait(1.0)  # so that `wants_more` knows of it

    def take(self, wait_s: float) -> tuple[int, Outcome] | None:
        """The next outcome; None where there is none within this time.

        Raises:
            Exception: the loop itself failed, which is a fault of ours.
        """
        try:
            outcome = self._outcomes.get(timeout=wait_s) if wait_s else self._outcomes.get_nowait()
        except queue.Empty:
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        self._taken += 1
        return outcome

    def _call(self, work: Callable[[], object]) -> None:
        assert self._loop is not None  # noqa: S101 - there since __enter__
        with contextlib.suppress(RuntimeError):  # closed already
            self._loop.call_soon_threadsafe(work)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._outcomes.put(error)
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        encoders = ThreadPoolExecutor(ENCODERS, thread_name_prefix="qwen3vl-encode")
        self._stop = asyncio.Event()
        self._dispatch = Dispatch(
            self._terms,
            self._rules,
            self._origins,
            encoders,
            lambda index, outcome: self._outcomes.put((index, outcome)),
            self._outcomes.put,
        )
        self._loop = loop
        self._ready.set()
        try:
            await self._stop.wait()
            await self._dispatch.close()
        finally:
            encoders.shutdown(wait=False, cancel_futures=True)
