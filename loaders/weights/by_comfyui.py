"""Fills layers that a file of ComfyUI's holds packed, with plain weights, one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint
from ..host.port import host
from .stored import parts_of, read_stored, size_of


def fill_packed(
    module: nn.Module,
    names: Iterable[str],
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device_of: Callable[[str], torch.device],
    on_layer: Callable[[int], None] = lambda _bytes: None,
) -> None:
    """Give these modules their weights, through ComfyUI's own code.

    Args:
        module: the whole one, still empty.
        names: of modules in it that the checkpoint holds packed.
        checkpoint: whose `quantization.layers` say how.
        dtype: of the plain weights.
        device_of: where a parameter goes.
        on_layer: told the bytes read for each.

    Raises:
        LoadError: a layer's tensors do not belong together.
        torch.OutOfMemoryError: unchanged.
    """
    said = checkpoint.quantization.layers if checkpoint.quantization else {}
    for name in names:
        part, parameter = module.get_submodule(name), f"{name}.weight"
        shape = tuple(part.weight.shape)
        tensors = parts_of(checkpoint, name)
        device = device_of(parameter)
        try:
            read = {leaf: read_stored(tensor).to(device) for leaf, tensor in tensors.items()}
            weight = host().plain_weight(said[name], read, shape, dtype)
            if tuple(weight.shape) != shape or not bool(torch.isfinite(weight).all()):
                raise ValueError(f"it came to {list(weight.shape)}, or to no numbers")
        except (LoadError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # ComfyUI's own, of any class
            raise LoadError(
                f"{checkpoint.folder.name}: ComfyUI cannot read {name} as "
                f"{said[name]['format']} ({' '.join(str(error).split())[:200]}).",
                "Download the file again, or update ComfyUI.",
            ) from error
        part.weight = nn.Parameter(weight, requires_grad=False)
        on_layer(size_of(tensors))


def packed_names(checkpoint: Checkpoint) -> set[str]:
    """The modules that ComfyUI's code has to read."""
    return set(checkpoint.quantization.layers) if checkpoint.quantization else set()
