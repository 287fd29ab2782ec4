"""Reads files a little before they are needed, in threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import InputError

# Decoding runs this far ahead of the model; more would only fill memory.
READERS = max(2, min(4, (os.cpu_count() or 2) // 2))
READ_AHEAD = 2 * READERS

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Read], ahead: int = READ_AHEAD
) -> Generator[tuple[Item, Read | InputError], None, None]:
    """Each item with what `read` makes of it, or what is wrong; done a little ahead, in threads."""
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="qwen3vl-read")
    waiting: deque[tuple[Item, Future[Read]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(read, item)))
            if len(waiting) > ahead:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    finally:
        # An interrupt does not wait for a large picture, or one on a drive that does not answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _result(item: Item, future: Future[Read]) -> tuple[Item, Read | InputError]:
    try:
        return item, future.result()
    except InputError as error:
        return item, error
