"""Tells running out of memory from other errors, whatever the device says it with."""

from __future__ import annotations

import torch

# Apple's GPUs and the CPU have no error class for it: "MPS backend out of memory …", and
# "DefaultCPUAllocator: not enough memory …" where the system promises no more than it has.
_WORDS = ("MPS backend out of memory", "DefaultCPUAllocator")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a smaller request, or more room, would have avoided this error."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(word in said for word in _WORDS)
