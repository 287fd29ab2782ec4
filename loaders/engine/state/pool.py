"""Pages of keys and values: two buffers a layer, handed out page by page and shared by count."""

from __future__ import annotations

import torch

# A page of 64 tokens wastes 32 on average and keeps the table of a 262,144-token context small.
PAGE_TOKENS = 64
# Idle rows of a captured step write here; no request ever owns it.
SCRATCH_PAGE = 0


class PagePool:
    """KV memory of all requests. `keys[i]`, `values[i]`: [kv_heads, pages * page_tokens, D].

    A page belongs to whoever allocated or retained it; it is free again at the last release.
    """

    def __init__(
        self,
        layers: int,
        kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
        page_tokens: int = PAGE_TOKENS,
    ):
        self.page_tokens = page_tokens
        self.pages = 0
        self.keys = [torch.empty(kv_heads, 0, head_dim, dtype=dtype, device=device)] * layers
        self.values = list(self.keys)
        self.page_bytes = 2 * layers * kv_heads * head_dim * page_tokens * dtype.itemsize
        self._free: list[int] = []
        self._owners: list[int] = []

    @property
    def free_pages(self) -> int:
        """Pages that nobody owns."""
        return len(self._free)

    def pages_for(self, tokens: int) -> int:
        """How many pages hold so many tokens."""
        return -(-tokens // self.page_tokens)

    def grow(self, pages: int) -> None:
        """Make the pool `pages` large, what it holds included; captured addresses go stale.

        Raises:
            torch.OutOfMemoryError: nothing has changed then but layers grown in vain.
        """
        # One layer at a time, so that old and new are never both there as a whole.
        for buffers in (self.keys, self.values):
            for index, old in enumerate(buffers):
                buffers[index] = self._longer(old, pages * self.page_tokens)
        first_new = max(self.pages, SCRATCH_PAGE + 1)
        self._free[:0] = range(pages - 1, first_new - 1, -1)
        self._owners += [0] * (pages - self.pages)
        self.pages = pages

    def _longer(self, old: torch.Tensor, tokens: int) -> torch.Tensor:
        if old.shape[1] >= tokens:
            return old
        # Zeros: a masked key with a NaN value would still poison the sum.
        new = old.new_zeros(old.shape[0], tokens, old.shape[2])
        new[:, : old.shape[1]] = old
        return new

    def allocate(self, count: int) -> list[int] | None:
        """`count` pages of one's own, or None when fewer are free."""
        if count > len(self._free):
            return None
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._owners[page] = 1
        return pages

    def retain(self, pages: list[int]) -> None:
        """Own these pages as well."""
        for page in pages:
            self._owners[page] += 1

    def release(self, pages: list[int]) -> list[int]:
        """Give up one ownership of each page; returns those that are free now."""
        freed = []
        for page in pages:
            self._owners[page] -= 1
            if self._owners[page] == 0:
                freed.append(page)
        self._free += freed
        return freed

    def wipe(self, pages: list[int]) -> None:
        """Put zeros for whatever lies there."""
        size = self.page_tokens
        for buffer in (*self.keys, *self.values):
            for page in pages:
                buffer[:, page * size : (page + 1) * size] = 0

    def copy_page(self, source: int, target: int) -> None:
        """Copy the keys and values of one page, in all layers."""
        size = self.page_tokens
        for buffer in (*self.keys, *self.values):
            buffer[:, target * size : (target + 1) * size] = buffer[
                :, source * size : (source + 1) * size
            ]
