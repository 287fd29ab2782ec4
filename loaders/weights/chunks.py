"""Which bytes of a checkpoint's files belong where in a module, chunk by chunk.

A chunk is a matrix, a part of one, or one expert's: small enough to stage, and independent of
the others, so that several threads read at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ..checkpoint.fp8_blocks import WHOLE, Fp8Stack, fp8_experts
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.safetensors_header import ITEM_BYTES, StoredTensor
from ..checkpoint.tensor_names import FP8_DTYPE, scale_name

# Large enough for a disk, small enough that a few threads' staging goes unnoticed.
CHUNK_BYTES = 64 * 1024**2
STORED_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
}
_EXPERTS = re.compile(r"\.mlp\.experts\.(gate_up_proj|down_proj)$")


@dataclass(frozen=True, slots=True)
class Scales:
    """Block scales of a chunk: `source` [..., rows, columns] and the block's height and width."""

    source: StoredTensor
    first_row: int
    rows: int
    columns: int
    block: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """`size_bytes` from `start` of a file are `shape`; they go into `target`, a view of it."""

    source: StoredTensor
    start: int
    shape: tuple[int, ...]
    target: torch.Tensor
    scales: Scales | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes to read."""
        return math.prod(self.shape) * ITEM_BYTES[self.source.dtype]


def chunks_of(
    name: str,
    target: torch.Tensor,
    tensors: Mapping[str, StoredTensor],
    block: tuple[int, int] = (128, 128),
) -> Iterator[Chunk]:
    """The chunks that fill the parameter `name`; none when nothing is stored for it.

    Experts are stored as [experts, in, out], or [experts, out, in], or one by one as
    [out, in]; a module has them as [experts, in, out] (transformers 4) or [experts, out, in]
    (transformers 5). The shapes tell which.
    """
    stored = tensors.get(name)
    if stored is None:
        yield from _single_experts(name, target, tensors, block)
    elif not _EXPERTS.search(name):
        yield from _rows(stored, target, _scales(name, stored, tensors, 0, block), stored.start)
    else:
        matrix_bytes = stored.size_bytes // stored.shape[0]
        for number, expert in enumerate(target):
            view = expert if tuple(expert.shape) == stored.shape[1:] else expert.T
            scales = _scales(name, stored, tensors, number, block)
            yield from _rows(stored, view, scales, stored.start + number * matrix_bytes)


def raw_chunks(name: str, target: torch.Tensor, checkpoint: Checkpoint) -> Iterator[Chunk]:
    """The chunks that fill the parameter `name` of a layer that keeps its FP8 weight: `weight` as
    it is stored, and `scales`, which have another name in files.
    """
    module, _, leaf = name.rpartition(".")
    if experts := _EXPERTS.search(module):
        layer, packed = module[: experts.start(1) - 1], checkpoint.quantization
        block = packed.block if packed else WHOLE
        both = fp8_experts(layer, checkpoint.architecture.text, checkpoint.tensors, block)
        if both is not None:
            stack = both[0] if experts[1] == "gate_up_proj" else both[1]
            yield from _raw_experts(stack, leaf == "scales", target)
        return
    weight = f"{module}.weight"
    stored = checkpoint.tensors.get(weight if leaf == "weight" else scale_name(weight))
    if stored is not None and math.prod(stored.shape) == target.numel():
        yield from _rows(stored, target, None, stored.start)


def _raw_experts(stack: Fp8Stack, scales: bool, target: torch.Tensor) -> Iterator[Chunk]:
    """The chunks of a stack's weights or `scales`, several matrices at once."""
    parts = target.view(len(stack.pieces), stack.each, -1, target.shape[1])
    for part, piece in zip(parts, stack.pieces, strict=True):
        stored = piece[1] if scales else piece[0]
        yield from _rows(stored, part.mT if stack.turned else part, None, stored.start)


def _single_experts(
    name: str,
    target: torch.Tensor,
    tensors: Mapping[str, StoredTensor],
    block: tuple[int, int],
) -> Iterator[Chunk]:
    if not _EXPERTS.search(name):
        return
    layer, part = name.rsplit(".", 1)
    parts = ("gate_proj", "up_proj") if part == "gate_up_proj" else ("down_proj",)
    for number, expert in enumerate(target):
        for place, own in enumerate(parts):
            own_name = f"{layer}.{number}.{own}.weight"
            stored = tensors.get(own_name)
            if stored is None:
                continue
            out = stored.shape[0]
            # [out, in] of all parts: rows of the one, columns of the other layout.
            turned = expert.shape[1] != stored.shape[1]
            whole = expert.T if turned else expert
            view = whole[place * out : (place + 1) * out]
            scales = _scales(own_name, stored, tensors, 0, block)
            yield from _rows(stored, view, scales, stored.start)


def _scales(
    name: str,
    stored: StoredTensor,
    tensors: Mapping[str, StoredTensor],
    matrix: int,
    block: tuple[int, int],
) -> Scales | None:
    source = tensors.get(scale_name(name))
    if stored.dtype != FP8_DTYPE or source is None:
        return None  # plain, or FP8 that was only rounded
    rows, columns = source.shape[-2:] if len(source.shape) > 1 else (1, 1)
    return Scales(source, matrix * rows, rows, columns, block)


def _rows(
    stored: StoredTensor, target: torch.Tensor, scales: Scales | None, start: int
) -> Iterator[Chunk]:
    """Cut a matrix into chunks of whole rows, and of whole blocks where it has scales."""
    shape = tuple(target.shape)
    row_bytes = math.prod(shape[1:]) * ITEM_BYTES[stored.dtype]
    step = max(1, CHUNK_BYTES // max(1, row_bytes))
    if scales is not None:
        step = max(1, step // scales.block[0]) * scales.block[0]
    total = shape[0] if shape else 1
    if step >= total:
        yield Chunk(stored, start, shape, target, scales)
        return
    for first in range(0, total, step):
        part = target[first : first + step]
        own = scales
        if scales is not None:
            height = scales.block[0]
            count = -(-part.shape[0] // height)
            own = Scales(
                scales.source, scales.first_row + first // height, count, scales.columns,
                scales.block,
            )  # fmt: skip
        yield Chunk(stored, start + first * row_bytes, tuple(part.shape), part, own)


def dequantize(
    weight: torch.Tensor, scales: torch.Tensor, block: tuple[int, int], dtype: torch.dtype
) -> torch.Tensor:
    """FP8 `weight` [rows, columns] times the scale of each block; the last blocks may be smaller.

    Args:
        weight: float8.
        scales: one for each block [ceil(rows / height), ceil(columns / width)].
        block: (height, width) of a block.
        dtype: of the result; the product is rounded once, from fp32.
    """
    rows, columns = weight.shape
    full = scales.float()
    if scales.numel() > 1:
        full = full.repeat_interleave(block[0], 0)[:rows].repeat_interleave(block[1], 1)
        full = full[:, :columns]
    return (weight.float() * full).to(dtype)
