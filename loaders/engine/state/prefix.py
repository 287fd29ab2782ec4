"""Remembers whose keys and values are still in the pool, so that a shared beginning is reused."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from .pool import PagePool

# Each entry is compared with every new request; so few cost some 0.1 ms together.
MAX_ENTRIES = 64


class PrefixCache:
    """Finished and running prompts by content, oldest use first; owns the pages it remembers.

    Content is int64 [n, 2]: a token id, or for a visual token a digest of its picture.
    """

    def __init__(self, pool: PagePool, max_entries: int = MAX_ENTRIES):
        self._pool = pool
        self._max_entries = max_entries
        self._entries: OrderedDict[int, tuple[np.ndarray, list[int]]] = OrderedDict()
        self._next_key = 0

    def add(self, content: np.ndarray, pages: list[int]) -> int:
        """Remember that `pages` hold `content`; returns the key for `forget`."""
        while len(self._entries) >= self._max_entries:
            self.evict()
        pages = pages[: self._pool.pages_for(len(content))]
        self._pool.retain(pages)
        self._next_key += 1
        self._entries[self._next_key] = (content, pages)
        return self._next_key

    def longest(self, content: np.ndarray) -> tuple[int, list[int]]:
        """(tokens in common, the pages holding them) of the best entry; (0, []) without any."""
        best, best_key = 0, None
        for key, (known, _) in self._entries.items():
            if (length := common(known, content)) > best:
                best, best_key = length, key
        if best_key is None:
            return 0, []
        self._entries.move_to_end(best_key)
        return best, self._entries[best_key][1][: self._pool.pages_for(best)]

    def forget(self, key: int | None) -> None:
        """Give up one entry, if it is still there."""
        if (entry := self._entries.pop(key, None) if key is not None else None) is not None:
            self._pool.release(entry[1])

    def evict(self) -> bool:
        """Give up the entry unused for longest; False when there is none."""
        if not self._entries:
            return False
        self.forget(next(iter(self._entries)))
        return True


def common(first: np.ndarray, second: np.ndarray) -> int:
    """How many tokens two contents have in common at the beginning."""
    length = min(len(first), len(second))
    at, block = 0, 32
    # Most prompts differ after a few tokens, so little is compared before much is.
    while at < length:
        end = min(at + block, length)
        different = (first[at:end] != second[at:end]).any(axis=1)
        if different.any():
            return at + int(different.argmax())
        at, block = end, block * 8
    return length
