"""Finds the quickest blocks of one product on its device, among those that make it rightly."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from . import stopwatch
from .candidates import Blocks

log = logging.getLogger(__name__)

ROUNDS = 3
# Blocks must be so much quicker than the first, or noise would choose.
WORTH = 0.97
# Of the size of a product: 16-bit sums in another order differ by less.
TOLERANCE = 0.02

# The product with given blocks; it changes nothing that is used.
Attempt = Callable[[Blocks], torch.Tensor]


def quickest(
    every: list[Blocks],
    attempt: Attempt,
    device: torch.device,
    tick: Callable[[], None],
    is_late: Callable[[], bool],
) -> Blocks | None:
    """The quickest of `every`, or the first where that is about as quick; None where the device
    cannot tell, for want of memory or whatever else.

    Args:
        every: the default first.
        attempt: makes the product.
        device: where.
        tick: called before each try; what it raises passes through.
        is_late: whether no more are to be tried.
    """
    ready = _working(every, attempt, device, tick, is_late)
    if not ready:
        return every[0] if is_late() else None
    times = dict.fromkeys(ready, float("inf"))
    for blocks in ready * (ROUNDS if len(ready) > 1 else 0):  # in turns: clocks rise with work
        tick()
        try:
            taken = stopwatch.milliseconds(lambda blocks=blocks: attempt(blocks), device)
        except Exception as error:
            log.debug("Blocks %s cannot be timed: %s", blocks, error)
            return None
        times[blocks] = min(times[blocks], taken)
    best = min(times, key=times.__getitem__)
    return best if times[best] < WORTH * times[every[0]] else every[0]


def _working(
    every: list[Blocks],
    attempt: Attempt,
    device: torch.device,
    tick: Callable[[], None],
    is_late: Callable[[], bool],
) -> list[Blocks]:
    """Those that compile in time and make the product that the first makes; none without it."""
    wanted, ready = None, []
    for blocks in every:
        tick()
        if is_late():
            break
        try:
            made = attempt(blocks)
            stopwatch.wait(device)
            if wanted is None or _agree(made, wanted):
                ready.append(blocks)
            wanted = made if wanted is None else wanted
        except Exception as error:  # whatever a compiler or a driver raises
            log.debug("Blocks %s do not work here: %s", blocks, error)
            if wanted is None:
                break
    return ready


def _agree(made: torch.Tensor, wanted: torch.Tensor) -> bool:
    one, other = made.float().nan_to_num(), wanted.float().nan_to_num()
    return bool((one - other).norm() <= TOLERANCE * other.norm())
