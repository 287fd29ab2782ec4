"""The tensors of one packed layer, whole and as they are stored."""

from __future__ import annotations

import torch

from ...utils.errors import LoadError
from ...utils.files.ordinary import open_ordinary
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.safetensors_header import StoredTensor
from .chunks import STORED_DTYPES

# What only packed layers are stored in.
PACKED_DTYPES = STORED_DTYPES | {
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def parts_of(checkpoint: Checkpoint, module: str) -> dict[str, StoredTensor]:
    """What is stored of a module, by what follows its name."""
    start = f"{module}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in checkpoint.tensors.items()
        if name.startswith(start)
    }


def size_of(parts: dict[str, StoredTensor]) -> int:
    """Bytes of them all."""
    return sum(tensor.size_bytes for tensor in parts.values())


def read_stored(tensor: StoredTensor) -> torch.Tensor:
    """A tensor as it is stored, in RAM.

    Raises:
        LoadError: the file ended early, or its numbers are of a kind that no packed layer has.
    """
    if tensor.dtype not in PACKED_DTYPES:
        raise LoadError(
            f"{tensor.path} holds {tensor.dtype} numbers where weights should be.",
            "Download the file again.",
        )
    raw = torch.empty(tensor.size_bytes, dtype=torch.uint8)
    with open_ordinary(tensor.path) as file:
        file.seek(tensor.start)
        if file.readinto(memoryview(raw.numpy())) != tensor.size_bytes:  # type: ignore[attr-defined]
            raise LoadError(f"{tensor.path} ended early.", "Download this file again.")
    return raw.view(PACKED_DTYPES[tensor.dtype]).view(tensor.shape)
