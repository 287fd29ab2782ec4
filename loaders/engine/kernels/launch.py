"""Launches Triton kernels, also inside a capture under the allocator that ComfyUI chooses."""

from __future__ import annotations

from typing import Any

import torch


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


def launch(kernel: Any, grid: tuple[Any, ...], *arguments: Any, **settings: Any) -> None:
    """Launch a Triton kernel; tensors, numbers and compile-time values in the kernel's order."""
    if _memory_is_promised():
        arguments = tuple(Address(a) if isinstance(a, torch.Tensor) else a for a in arguments)
    kernel[grid](*arguments, **settings)


def _memory_is_promised() -> bool:
    return (
        torch.cuda.is_available()
        and torch.cuda.is_current_stream_capturing()
        and torch.cuda.get_allocator_backend() == "cudaMallocAsync"
    )
