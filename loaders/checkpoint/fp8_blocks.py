"""FP8 weights come with a scale for each block; checks that both belong together, and finds them
for experts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.errors import LoadError
from .architecture import TextShape
from .safetensors_header import StoredTensor
from .tensor_names import FP8_DTYPE, PLAIN_DTYPES, scale_name

# A scale for a whole matrix counts as one block.
WHOLE = (1 << 30, 1 << 30)
MOST_SIDE = 1 << 16
# Between a layer's name and what belongs to its experts.
_EXPERTS = ".mlp.experts"


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


@dataclass(frozen=True, slots=True)
class Fp8Stack:
    """The FP8 matrices of one layer's experts as files hold them.

    `shape` is that of all as [outputs, inputs], one above the other, and `block` the height and
    width of what has one scale there. `pieces` are (weights, scales) from the top on, of `each`
    matrices: either one of all experts, or one of each of their matrices. `turned` is whether
    they lie in the files as [inputs, outputs].
    """

    pieces: tuple[tuple[StoredTensor, StoredTensor], ...]
    each: int
    turned: bool
    shape: tuple[int, int]
    block: tuple[int, int]


def fp8_experts(
    name: str, text: TextShape, tensors: Mapping[str, StoredTensor], block: tuple[int, int]
) -> tuple[Fp8Stack, Fp8Stack] | None:
    """Gate and up, and down, of a layer's experts.

    Official checkpoints hold `gate_up_proj` [experts, hidden, 2 * inner] and `down_proj` [experts,
    inner, hidden], scales as well, as SGLang and vLLM read them; transformers 5 writes both
    turned, other tools each expert's `gate_proj`, `up_proj` and `down_proj` as linear layers.

    Args:
        name: of the experts' module.
        text: the shape of the model.
        tensors: what is stored, by canonical name.
        block: height and width, as the config says.

    Returns:
        None where not all of it is FP8 with scales, or a block goes across two matrices.
    """
    inner, hidden = text.expert_intermediate, text.hidden
    gate_up, down = f"{name}.gate_up_proj", f"{name}.down_proj"
    if gate_up in tensors and down in tensors:
        lead = (text.experts,)
        # Of a square matrix the shape does not tell; both are never square.
        lying = tensors[gate_up].shape[1:] == (hidden, 2 * inner)
        turned = lying and tensors[down].shape[1:] == (inner, hidden)
        forms = (([gate_up], (2 * inner, hidden)), ([down], (hidden, inner)))
    else:
        lead, turned, numbers = (), False, range(text.experts)
        halves = [f"{name}.{n}.{half}.weight" for n in numbers for half in ("gate_proj", "up_proj")]
        backs = [f"{name}.{n}.down_proj.weight" for n in numbers]
        forms = ((halves, (inner, hidden)), (backs, (hidden, inner)))
    first, second = (_stack(tensors, own, lead, shape, turned, block) for own, shape in forms)
    return None if first is None or second is None else (first, second)


def has_uneven_experts(
    text: TextShape, tensors: Mapping[str, StoredTensor], block: tuple[int, int]
) -> bool:
    """Whether a layer has FP8 experts of which `fp8_experts` finds nothing."""
    layers = {
        name.partition(_EXPERTS)[0]
        for name, tensor in tensors.items()
        if _EXPERTS in name and tensor.dtype == FP8_DTYPE
    }
    return any(fp8_experts(f"{n}{_EXPERTS}", text, tensors, block) is None for n in layers)


def _stack(
    tensors: Mapping[str, StoredTensor],
    names: list[str],
    lead: tuple[int, ...],
    shape: tuple[int, int],
    turned: bool,
    block: tuple[int, int],
) -> Fp8Stack | None:
    """Of tensors [*lead, *shape], or with the last two turned; None where they are no such."""
    rows, columns = shape
    height, width = block[::-1] if turned else block
    stored = (*lead, columns, rows) if turned else (*lead, rows, columns)
    if rows > height and rows % height:
        return None
    pieces = []
    for name in names:
        weight, scales = tensors.get(name), tensors.get(scale_name(name))
        if weight is None or scales is None:
            return None
        if weight.dtype != FP8_DTYPE or weight.shape != stored:
            return None
        pieces.append((weight, scales))
    each = math.prod(lead)
    whole = (len(pieces) * each * rows, columns)
    return Fp8Stack(tuple(pieces), each, turned, whole, (min(height, rows), min(width, columns)))


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
