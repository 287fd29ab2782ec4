"""How much KV memory a run may take, and where the next page comes from."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from ...host.out_of_memory import is_out_of_memory
from ..request.sequence import Sequence
from .stepper import Stepper

# What stays free for steps, graphs and the allocator's rounding.
KEPT_FREE = 0.1
# A first pool for so many tokens; it doubles when that is not enough.
FIRST_TOKENS = 2_048


def free_bytes_of(device: torch.device) -> int:
    """Bytes that can still be allocated, as far as PyTorch and the system know."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + max(0, cached)
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 2 << 30


class Pages:
    """Pages for the sequences of one run: free ones, then remembered ones, then a larger pool.

    Args:
        stepper: owns pool and prefixes.
        free_bytes: how much memory may be taken now.
        step_bytes: how much of it a step needs for itself.
        free_memory: called when the pool could not grow as allowed.
    """

    def __init__(
        self,
        stepper: Stepper,
        free_bytes: Callable[[], int],
        step_bytes: int,
        free_memory: Callable[[], None],
    ):
        self._stepper, self._free_bytes = stepper, free_bytes
        self._step_bytes, self._free_memory = step_bytes, free_memory
        self.page_tokens = stepper.pool.page_tokens
        self.refresh()

    def refresh(self) -> None:
        """Ask again how much may be taken."""
        pool = self._stepper.pool
        usable = int(self._free_bytes() * (1 - KEPT_FREE)) - self._step_bytes
        self._most = pool.pages + max(0, usable) // pool.page_bytes

    def lacks(self, sequence: Sequence) -> bool:
        """Whether the sequence has no page for its next token, and wants one."""
        full = sequence.cached >= len(sequence.pages) * self.page_tokens
        return full and sequence.launched < sequence.draft.horizon

    def take(self, count: int) -> list[int] | None:
        """`count` pages, or None when there is no way to get them."""
        while (pages := self._stepper.pool.allocate(count)) is None:
            if not (self._stepper.prefix.evict() or self._grow(count)):
                return None
        return pages

    def take_after(
        self, shared: list[int], matched: int, length: int, spare: int
    ) -> list[int] | None:
        """Pages for `length` tokens of which the first `matched` lie on the pages `shared`.

        Whole pages are shared; the rest of the last one is copied, since its other half will
        differ. `spare` more pages must be left for those who run already.
        """
        pool = self._stepper.pool
        whole = matched // self.page_tokens
        pool.retain(shared)  # or making room could give them away
        own = self.take(pool.pages_for(length) - whole + spare)
        if own is not None:
            own, rest = own[: len(own) - spare], own[len(own) - spare :]
            pool.release(rest)
            if matched % self.page_tokens:
                with torch.inference_mode():
                    pool.copy_page(shared[whole], own[0])
            pool.retain(shared[:whole])
            own = shared[:whole] + own
        pool.release(shared)
        return own

    def expect(self, tokens: int) -> None:
        """Make the pool large enough for so many tokens at once, as far as allowed."""
        pages = self._stepper.pool.pages_for(max(tokens, FIRST_TOKENS)) + 1
        if pages > self._stepper.pool.pages:
            self._grow_to(min(pages, self._most))

    def _grow(self, count: int) -> bool:
        now = self._stepper.pool.pages
        short = count - self._stepper.pool.free_pages
        least = now + short + (now == 0)  # the scratch page
        if least > self._most:
            return False
        return self._grow_to(min(self._most, max(least, 2 * now))) or self._grow_to(least)

    def _grow_to(self, pages: int) -> bool:
        if pages <= self._stepper.pool.pages:
            return False
        try:
            self._stepper.grow(pages)
            return True
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            failed = True  # recovered below: the exception holds the tensors
        if failed:
            self._free_memory()
        return False
