"""A few things at a time, so that neither the memory nor the server is flooded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
WORKERS = 4


async def in_parallel(work: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do the work for every item, WORKERS at a time; the first exception ends all of it."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    workers = [asyncio.ensure_future(worker()) for _ in range(WORKERS)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
