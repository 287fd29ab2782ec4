# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""A layer of experts on the device: chosen, multiplied in groups and added up without the host.

A pair is a token with one of its experts, number token * top + rank. Pairs are put in the order of
their experts and cut into blocks of one expert each, which are multiplied as one product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch.nn import functional

from ....weights.packed.matrices import Matrix, NibbleMatrix, Packed
from ...model.experts import Experts
from ..dequantize import dequantize
from ..launch import launch
from ..packed_products import wide_blocks
from .grouped import byte_products, nibble_products, plain_products

# Up to so many pairs each is a block of its own: hardly two share an expert, and nothing has to be
# put in order.
FEW_PAIRS = 64
# Up to so many pairs int4 and int8 are read as they are; above they are made plain once for all.
PACKED_PAIRS = 512


@triton.jit
def _choose(
    logits, chosen, weights, count, TOP: tl.constexpr, RANKS: tl.constexpr, BLOCK: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    at, rank_at = tl.arange(0, BLOCK), tl.arange(0, RANKS)
    value = tl.load(logits + token * count + at, mask=at < count, other=-float("inf"))
    value = value.to(tl.float32)
    chance = tl.exp(value - tl.max(value, axis=0))
    chance = tl.where(at < count, chance / tl.sum(chance, axis=0), -1.0)
    total, taken = 0.0, tl.zeros([RANKS], tl.float32)
    for rank in tl.static_range(TOP):
        best, most = tl.argmax(chance, axis=0), tl.max(chance, axis=0)
        tl.store(chosen + token * TOP + rank, best)
        total += most
        taken = tl.where(rank_at == rank, most, taken)
        chance = tl.where(at == best, -2.0, chance)
    weight = (taken / total).to(logits.dtype.element_ty)
    tl.store(weights + token * TOP + rank_at, weight, mask=rank_at < TOP)


@triton.jit
def _add_up(made, weights, place, out, width, TOP: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    total = tl.zeros([BLOCK], tl.float32)
    for rank in tl.static_range(TOP):
        pair = token * TOP + rank
        row = tl.load(place + pair).to(tl.int64)
        value = tl.load(made + row * width + at, mask=inside, other=0.0).to(tl.float32)
        total += value * tl.load(weights + pair).to(tl.float32)
    tl.store(out + token * width + at, total.to(out.dtype.element_ty), mask=inside)


@dataclass(frozen=True, slots=True)
class Groups:
    """Which pairs are multiplied together.

    `order` [P] is the pair at each place, `place` [P] the other way round. A block has the places
    `start` to `end` and the expert `expert`, each int32 [B]; some blocks are empty.
    """

    order: torch.Tensor
    place: torch.Tensor
    expert: torch.Tensor
    start: torch.Tensor
    end: torch.Tensor
    rows: int


def choose(inputs: torch.Tensor, experts: Experts) -> tuple[torch.Tensor, torch.Tensor]:
    """As `experts.route`: int32 [T, top], and weights of the type of `inputs`."""
    logits = functional.linear(inputs, experts.router)
    tokens, count = logits.shape
    chosen = torch.empty(tokens, experts.top, dtype=torch.int32, device=logits.device)
    weights = logits.new_empty(tokens, experts.top)
    ranks, block = triton.next_power_of_2(experts.top), triton.next_power_of_2(count)
    launch(
        _choose, (tokens,), logits, chosen, weights, count, experts.top, ranks, block, num_warps=1
    )
    return chosen, weights


def blocks_of(chosen: torch.Tensor, count: int) -> Groups:
    """Cut the pairs of `chosen` [T, top] among `count` experts into blocks, for any values."""
    pairs = chosen.numel()
    flat = chosen.view(-1)
    places = torch.arange(pairs, dtype=torch.int32, device=chosen.device)
    if pairs <= FEW_PAIRS:
        return Groups(places, places, flat, places, places + 1, 16)
    each = pairs // count
    rows = 16 if each < 24 else (64 if each < 96 else 128)
    order = flat.argsort(stable=True)
    place = torch.empty_like(places)
    place[order] = places
    sizes = torch.zeros(count, dtype=torch.int32, device=flat.device)
    sizes.scatter_add_(0, flat.long(), torch.ones_like(flat))
    ends = sizes.cumsum(0, dtype=torch.int32)
    blocks = (sizes + rows - 1) // rows
    last = blocks.cumsum(0, dtype=torch.int32)
    most = triton.cdiv(pairs, rows) + count  # each expert may leave one unfilled
    numbers = torch.arange(most, dtype=torch.int32, device=flat.device)
    expert = torch.searchsorted(last, numbers, right=True, out_int32=True)
    there = expert.clamp(max=count - 1).long()
    start = ends[there] - sizes[there] + (numbers - (last - blocks)[there]) * rows
    end = torch.where(expert < count, torch.minimum(start + rows, ends[there]), start)
    return Groups(order.int(), place, there.int(), start, end, rows)


def mixed_experts(
    inputs: torch.Tensor, experts: Experts, gated: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """`inputs` [T, C] through the experts that each row takes; [T, C]. `gated` is `Ops.gated`."""
    chosen, weights = choose(inputs, experts)
    blocks = blocks_of(chosen, experts.count)
    wide = _products(inputs, experts.gate_up, experts, blocks, experts.top)
    made = _products(gated(wide), experts.down, experts, blocks, 0)
    out = torch.empty_like(inputs)
    width = inputs.shape[1]
    launch(
        _add_up, (len(inputs), triton.cdiv(width, 512)),
        made, weights, blocks.place, out, width, experts.top, 512,
    )  # fmt: skip
    return out


def _products(
    inputs: torch.Tensor, matrix: Matrix, experts: Experts, blocks: Groups, top: int
) -> torch.Tensor:
    """Each pair's row of `inputs` times its expert's matrix, in the order of the places.

    With `top` the rows of `inputs` are tokens, without it they lie in that order already.
    """
    if not isinstance(matrix, torch.Tensor) and _read_packed(inputs, matrix, len(blocks.order)):
        if isinstance(matrix, NibbleMatrix):
            return nibble_products(inputs, matrix, experts.count, blocks, top)
        return byte_products(inputs, matrix, experts.count, blocks, top)
    if not isinstance(matrix, torch.Tensor):
        plain = dequantize(matrix, inputs.dtype)
        matrix = plain.view(experts.count, -1, plain.shape[1])
    return plain_products(inputs, matrix, blocks, top)


def _read_packed(inputs: torch.Tensor, matrix: Packed, pairs: int) -> bool:
    """Whether packed weights are read as they are. FP8 is so for any number of pairs: it becomes
    bf16 in five instructions for two weights, while a plain copy of all experts would be written
    and read again in every step, and lie beside them. In fp32 nothing is gained.
    """
    if inputs.dtype == torch.float32:
        return False
    if isinstance(matrix, NibbleMatrix):
        return pairs <= PACKED_PAIRS
    fp8 = matrix.weight.dtype == torch.float8_e4m3fn
    return wide_blocks(matrix) and (fp8 or pairs <= PACKED_PAIRS)
