"""Fills layers that a file of ComfyUI's holds packed: with int8 as stored, or plain weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.quantization import int8_layers
from ..host.port import host
from .packed.matrices import ByteMatrix
from .packed.packed_linear import PackedEmbedding, PackedLinear
from .packed.packing import inner_linears, replace_part, tie_output
from .stored import parts_of, read_stored, size_of

log = logging.getLogger(__name__)

# The table of tokens and the output layer.
TABLE, OUTPUT = "model.language_model.embed_tokens", "lm_head"
# Rows of each layer that ComfyUI unpacks too, and how far ours may be from them.
CHECKED_ROWS, MOST_OFF = 16, 1e-3


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


def fill_int8(
    module: Any,
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device_of: Callable[[str], torch.device],
    on_layer: Callable[[int], None] = lambda _bytes: None,
) -> set[str]:
    """Give a module that is still empty those layers that stay int8, as they are stored; which
    they are. Of each, some rows are compared with what ComfyUI makes of them: a layer that means
    something else to it is left empty, which is said.

    Args:
        module: the whole one.
        checkpoint: a file of ComfyUI's.
        dtype: of what tokens' rows become.
        device_of: where a parameter goes.
        on_layer: told the bytes read for each.

    Raises:
        LoadError: the file ended early.
        torch.OutOfMemoryError: unchanged.
    """
    said = checkpoint.quantization.layers if checkpoint.quantization else {}
    places = {*(name for name, _ in inner_linears(module)), TABLE, OUTPUT}
    made, others = set(), []
    for name, group in int8_layers(checkpoint.quantization, checkpoint.tensors).items():
        if name not in places:
            continue
        parts = parts_of(checkpoint, name)
        shape = tuple(module.get_submodule(name).weight.shape)
        device = device_of(f"{name}.weight")
        read = {leaf: read_stored(tensor).to(device) for leaf, tensor in parts.items()}
        matrix = _int8(read, shape, group)
        if matrix is None or not _means_the_same(matrix, said[name], read):
            others.append(name)
            continue
        whole = PackedEmbedding(matrix, dtype) if name == TABLE else PackedLinear(matrix)
        replace_part(module, name, whole)
        if isinstance(whole, PackedEmbedding) and checkpoint.architecture.text.tied:
            tie_output(module, whole)
        made.add(name)
        on_layer(size_of(parts))
    if others:
        log.warning(
            "%s: %d int8 layers (%s …) become plain, as ComfyUI reads them in another way.",
            checkpoint.folder.name, len(others), others[0],
        )  # fmt: skip
    return made


def _int8(
    read: Mapping[str, torch.Tensor], shape: tuple[int, int], group: int
) -> ByteMatrix | None:
    """The layer's codes and scales, both as they are stored; None where they do not fit."""
    weight, scales = read["weight"], read["weight_scale"].float()
    if tuple(weight.shape) != shape or not bool(torch.isfinite(scales).all()):
        return None
    height = 1 if scales.numel() == shape[0] else shape[0]
    return ByteMatrix(weight, scales.view(-1, 1), (height, shape[1]), group)


def _means_the_same(
    matrix: ByteMatrix, said: Mapping[str, Any], read: Mapping[str, torch.Tensor]
) -> bool:
    """Whether ComfyUI makes the same numbers of the first rows, but for rounding."""
    count = min(CHECKED_ROWS, matrix.shape[0])
    few = dict(read)
    few["weight"] = read["weight"][:count]
    if matrix.block[0] == 1:
        few["weight_scale"] = read["weight_scale"][:count]
    rows = torch.arange(count, device=matrix.device)
    ours = matrix.rows(rows).dequantized(torch.float32)
    try:
        theirs = host().plain_weight(said, few, (count, matrix.shape[1]), torch.float32)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # ComfyUI's own, of any class; it is named when all of the layer is asked for
        return False
    return bool((ours - theirs).norm() <= MOST_OFF * theirs.norm())


def packed_names(checkpoint: Checkpoint) -> set[str]:
    """The modules that ComfyUI's code has to read."""
    return set(checkpoint.quantization.layers) if checkpoint.quantization else set()
