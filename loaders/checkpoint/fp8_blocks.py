"""FP8 weights come with a scale for each block; checks that both belong together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import LoadError
from .safetensors_header import StoredTensor
from .tensor_names import FP8_DTYPE, PLAIN_DTYPES, scale_name

# A scale for a whole matrix counts as one block.
WHOLE = (1 << 30, 1 << 30)
MOST_SIDE = 1 << 16


def block_size(stored: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Height and width of a block, from a config's quantization_config.

    Raises:
        LoadError: the config says something else than two numbers; `where` names the file.
    """
    size = stored.get("weight_block_size")
    if size is None:
        return WHOLE
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(side) is int and 0 < side <= MOST_SIDE for side in size)
    ):
        raise LoadError(
            f"{where} has the weight_block_size {str(size)[:40]}, not two numbers.",
            "Download the file again.",
        )
    return size[0], size[1]


def check_scales(
    where: Path, tensors: Mapping[str, StoredTensor], block: tuple[int, int], required: bool
) -> None:
    """Every FP8 weight has one scale for each of its blocks.

    Args:
        where: the checkpoint, for messages.
        tensors: what is stored, by canonical name.
        block: height and width.
        required: whether a weight without scales is an error, and not one that was only rounded.

    Raises:
        LoadError: scales are missing, too many, too few, or of a type nobody writes.
    """
    for name, tensor in tensors.items():
        if tensor.dtype != FP8_DTYPE:
            continue
        scales = tensors.get(scale_name(name))
        if scales is None and required:
            raise LoadError(
                f"{where}: the FP8 weight {name} has no {scale_name(name)} beside it.",
                "Download the checkpoint again; without its scale the weight means nothing.",
            )
        if scales is not None and not _fits(tensor.shape, scales, block):
            raise LoadError(
                f"{where}: {scale_name(name)} is {scales.dtype} {list(scales.shape)}, which does "
                f"not fit a weight of {list(tensor.shape)} in blocks of {_blocks(block)}.",
                "Download config.json and the weights again: they are not of one model.",
            )


def plain_modules(tensors: Mapping[str, StoredTensor]) -> list[str]:
    """The modules whose matrix is not FP8, as the files say and not as some config lists them.

    transformers expects scales for every linear layer that it is not told of, the vision tower's
    too; official configs name these under other keys and in older spellings.
    """
    plain = {
        name.removesuffix(".weight")
        for name, tensor in tensors.items()
        if name.endswith(".weight") and len(tensor.shape) > 1 and tensor.dtype != FP8_DTYPE
    }
    # A tied one is not stored.
    return sorted(plain if "lm_head.weight" in tensors else plain | {"lm_head"})


def _fits(shape: tuple[int, ...], scales: StoredTensor, block: tuple[int, int]) -> bool:
    if len(shape) < 2 or scales.dtype not in PLAIN_DTYPES:
        return False
    wanted = (*shape[:-2], -(-shape[-2] // block[0]), -(-shape[-1] // block[1]))
    if math.prod(scales.shape) != math.prod(wanted):
        return False
    # A single scale is stored as [], [1] or [1, 1].
    return len(scales.shape) < 2 or scales.shape[-2:] == wanted[-2:]


def _blocks(block: tuple[int, int]) -> str:
    return "a whole matrix" if block == WHOLE else f"{block[0]} x {block[1]}"
