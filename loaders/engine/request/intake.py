"""Requests on their way through a run: read ahead, prepared in threads, then a job each."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import torch

from ....utils.chat.requests import Request
from ....utils.chat.sampling import Sampling
from ....utils.errors import Qwen3VLError
from .draft import Draft
from .encoding import Prepared

# Requests read ahead of need: enough to fill a large prompt step, few enough for memory.
READ_AHEAD = 16


@dataclass(slots=True, eq=False)
class Job:
    """One request in work. `cached` counts its tokens whose keys are in the pool (or will be,
    by a step already launched), `launched` its tokens drawn or being drawn.
    """

    index: int
    seed: int
    prepared: Prepared
    sampling: Sampling
    draft: Draft
    pages: list[int] = field(default_factory=list)
    cached: int = 0
    launched: int = 0
    row: int | None = None
    prefix_key: int | None = None
    # Features of pictures (by number) from the first prompt step until the last.
    features: dict[int, torch.Tensor] = field(default_factory=dict)
    failures: int = 0

    @property
    def length(self) -> int:
        """Tokens to be read before the next one can be drawn; more than the prompt after a
        restart.
        """
        return self.prepared.length + len(self.draft.token_ids)

    def tokens(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids [n] and positions [3, n] of these tokens, prompt first, then generated ones."""
        prompt = self.prepared
        more = np.asarray(self.draft.token_ids, dtype=np.int64)
        after = np.broadcast_to(np.arange(len(more)) + prompt.next_position, (3, len(more)))
        ids = np.concatenate((prompt.ids, more))
        positions = np.concatenate((prompt.positions, after), axis=1)
        return ids[start:end], positions[:, start:end]

    def content(self) -> np.ndarray:
        """Of prompt and generated tokens, as `Prepared.content`."""
        more = np.zeros((len(self.draft.token_ids), 2), dtype=np.int64)
        more[:, 0] = self.draft.token_ids
        return np.concatenate((self.prepared.content, more))


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
        while not self.exhausted and len(self._ahead) < READ_AHEAD:
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
