"""Launches Triton kernels, also inside a capture under the allocator that ComfyUI chooses."""

from __future__ import annotations

from typing import Any

import torch
from triton.runtime.errors import OutOfResources

# What Triton takes where a launch names no number.
DEFAULT_STAGES = 3


class Address(int):
    """A tensor's address with its type.

    Memory that PyTorch's cudaMallocAsync backend allocates inside a capture has an address but is
    not there yet, and Triton refuses a tensor whose memory it cannot look up. A number is
    passed on as it is.
    """

    dtype: torch.dtype

    def __new__(cls, tensor: torch.Tensor) -> Address:
        """The address of a tensor, which must outlive the launch."""
        address = super().__new__(cls, tensor.data_ptr())
        address.dtype = tensor.dtype
        return address

    def data_ptr(self) -> int:
        """As a tensor has it: Triton reads alignment and type from here."""
        return int(self)


# How many stages a kernel with such blocks has on this machine's cards where its own number did
# not fit.
_FEWER: dict[tuple[Any, tuple[int, ...], int], int] = {}


def launch(
    kernel: Any,
    grid: tuple[Any, ...],
    *arguments: Any,
    blocks: tuple[int, ...] = (),
    **settings: Any,
) -> None:
    """Launch a Triton kernel; tensors, numbers and compile-time values in the kernel's order.

    Where its stages do not fit into a card's shared memory (blocks were measured on one that has
    more than twice that of a gaming card), it gets fewer.

    Args:
        kernel: what is launched.
        grid: how many programs.
        arguments: the kernel's own.
        blocks: what of them decides how much shared memory it takes, where that varies.
        settings: Triton's, as num_warps.

    Raises:
        triton.runtime.errors.OutOfResources: a single one does not fit.
    """
    if _memory_is_promised():
        arguments = tuple(Address(a) if isinstance(a, torch.Tensor) else a for a in arguments)
    wanted = int(settings.get("num_stages", DEFAULT_STAGES))
    stages = _FEWER.get((kernel, blocks, wanted), wanted)
    if stages != wanted:
        settings["num_stages"] = stages
    try:
        kernel[grid](*arguments, **settings)
    except OutOfResources:
        if stages <= 1:
            raise
        _FEWER[kernel, blocks, wanted] = stages - 1
        launch(kernel, grid, *arguments, blocks=blocks, **(settings | {"num_stages": wanted}))


def _memory_is_promised() -> bool:
    return (
        torch.cuda.is_available()
        and torch.cuda.is_current_stream_capturing()
        and torch.cuda.get_allocator_backend() == "cudaMallocAsync"
    )
