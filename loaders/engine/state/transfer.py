"""From arrays on the host to tensors on the device, without waiting for either."""

from __future__ import annotations

import numpy as np
import torch

# PyTorch keeps pinned memory for reuse, and the system misses it.
MOST_PINNED = 64 << 20


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """The array as a tensor on the CPU, without a copy where torch takes its memory as it is.

    A picture straight from Pillow lies in memory that must not be written; torch has no such
    tensors and warns.
    """
    return torch.from_numpy(np.require(array, requirements=("C", "W")))


def upload(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """The array on the device, without waiting for what the device is doing."""
    tensor = as_tensor(array)
    if device.type != "cuda":
        return tensor.to(device)
    # Small pageable copies are staged at once; large ones would wait for the stream.
    return (pinned(tensor) if tensor.nbytes > 32_768 else tensor).to(device, non_blocking=True)


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """The same values where a CUDA device can fetch them, unless they are very many."""
    if tensor.nbytes > MOST_PINNED or tensor.is_pinned():
        return tensor
    return tensor.pin_memory()
