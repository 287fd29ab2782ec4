"""Requests on their way into a run: read ahead, and prepared in threads."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ....utils.chat.requests import Request
from ....utils.errors import Qwen3VLError
from .encoding import Prepared

# Requests read ahead of need: enough to fill a large prompt step, few enough for memory.
REQUESTS_AHEAD = 16


@dataclass(frozen=True, slots=True)
class _Ahead:
    index: int
    request: Request
    future: Future[tuple[Prepared, float]]


class Intake:
    """Reads requests lazily in the caller's thread and prepares them in others."""

    def __init__(self, requests: Iterable[Request], prepare: Callable[[Request], Prepared]):
        self._numbered: Iterator[tuple[int, Request]] = enumerate(requests)
        self._prepare = prepare
        self._ahead: deque[_Ahead] = deque()
        workers = max(1, min(8, (os.cpu_count() or 2) - 1))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="qwen3vl-prepare")
        self.exhausted = False

    def __len__(self) -> int:
        return len(self._ahead)

    def fill(self) -> None:
        """Read ahead; whatever the caller's iterable raises passes through."""
        while not self.exhausted and len(self._ahead) < REQUESTS_AHEAD:
            try:
                index, request = next(self._numbered)
            except StopIteration:
                self.exhausted = True
                return
            future = self._threads.submit(_timed, self._prepare, request)
            self._ahead.append(_Ahead(index, request, future))

    def ready(self) -> tuple[int, Request, Future[tuple[Prepared, float]]] | None:
        """The next request, if it is prepared (or its preparation failed); keeps the order."""
        if not self._ahead or not self._ahead[0].future.done():
            return None
        first = self._ahead.popleft()
        return first.index, first.request, first.future

    def first_length(self) -> int:
        """Tokens of the next request; 0 when it could not be prepared."""
        try:
            return self._ahead[0].future.result()[0].length if self._ahead else 0
        except Qwen3VLError:
            return 0  # reported when its turn comes

    def wait(self, seconds: float) -> None:
        """Until the next request is prepared, at most so long."""
        if self._ahead:
            wait([self._ahead[0].future], timeout=seconds)

    def close(self) -> None:
        """Drop what is not begun; threads end by themselves."""
        self.exhausted = True
        self._ahead.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _timed(prepare: Callable[[Request], Prepared], request: Request) -> tuple[Prepared, float]:
    began = time.perf_counter()
    prepared = prepare(request)
    return prepared, time.perf_counter() - began
