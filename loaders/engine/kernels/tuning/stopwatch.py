"""How long a product takes on its GPU with weights out of memory, as they come in a step."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch

REPEATS = 12
# What is written between two products; also where torch does not tell how large the cache is. It
# takes the device longer than the host needs to launch the next product.
LEAST_BYTES = 96 << 20


def milliseconds(product: Callable[[], object], device: torch.device) -> float:
    """The median of a few; the product has run before, so nothing is compiled meanwhile.

    Triton's own `do_bench` does so too, with 256 MiB that a full card may not have.
    """
    properties = torch.cuda.get_device_properties(device)
    cache = int(getattr(properties, "L2_cache_size", 0))
    other = torch.empty(max(LEAST_BYTES, 2 * cache), dtype=torch.int8, device=device)
    turns = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(REPEATS)]
    for begin, end in turns:
        other.zero_()
        begin.record()
        product()
        end.record()
    wait(device)
    return median(begin.elapsed_time(end) for begin, end in turns)


def wait(device: torch.device) -> None:
    """Until the device has done all its work; what went wrong there is raised here."""
    torch.cuda.synchronize(device)
