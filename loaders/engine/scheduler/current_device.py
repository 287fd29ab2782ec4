"""Makes the device of a run the current one while the run works, and only then.

Triton launches, graph captures and events go to the current device, whatever their tensors say.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

Item = TypeVar("Item")


def on_device(device: torch.device, work: Generator[Item, None, None]) -> Iterator[Item]:
    """What `work` yields; between its steps the caller has its own current device.

    Closing this closes `work`.
    """
    try:
        while True:
            with _current(device):
                try:
                    item = next(work)
                except StopIteration:
                    return
            yield item
    finally:
        with _current(device):
            work.close()


def _current(device: torch.device) -> AbstractContextManager:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
