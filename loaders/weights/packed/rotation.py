"""The rotation that some 8-bit files apply to weights: groups of inputs times a Hadamard matrix."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=16)
def hadamard(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The regular Hadamard matrix [size, size] over its norm: symmetric, and its own inverse.

    Its numbers are plus and minus 1 / sqrt(size), a power of two: exact in every dtype.

    Raises:
        ValueError: `size` is no power of 4.
    """
    # A regular one, all of whose rows add up to the same: the plain 2 x 2 one would be another.
    seed = torch.ones(4, 4) - 2 * torch.eye(4).flip(1)
    # Outside of inference mode, as whoever asks first is not the only one to use it.
    with torch.inference_mode(False), torch.no_grad():
        made = torch.ones(1, 1)
        while len(made) < size:
            made = torch.kron(made, seed)
        if len(made) != size:
            raise ValueError(f"groups of {size} inputs cannot be rotated")
        return (made / size**0.5).to(device, dtype)


def rotated(values: torch.Tensor, size: int) -> torch.Tensor:
    """`values` [.., K] with every group of `size` in a row times the Hadamard matrix.

    Doing it twice changes nothing; a product stays what it is when both sides are rotated.
    """
    groups = values.reshape(-1, size)
    return (groups @ hadamard(size, values.dtype, values.device)).view(values.shape)
