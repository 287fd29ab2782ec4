"""Experts that keep their weights packed; the fast engine reads them as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .matrices import ByteMatrix, Matrix, NibbleMatrix, Packed
from .packed_linear import PackedLinear, rows_of
from .packing import pack, packable


class PackedExperts(nn.Module):
    """transformers' experts of one layer on two packed matrices, in which the `count` experts'
    rows lie one above the other.

    Called as a module it makes plain weights each time, which is right everywhere and slow.
    """

    def __init__(self, gate_up: Packed, down: Packed, count: int):
        super().__init__()
        if any(isinstance(stack, ByteMatrix) and stack.rotated for stack in (gate_up, down)):
            raise ValueError("experts are never rotated: their inputs would have to be, too")
        self.gate_up_proj, self.down_proj = PackedLinear(gate_up), PackedLinear(down)
        self.count = count

    def forward(
        self, hidden: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """`hidden` [.., C] through the experts; then, by transformers' generation, the weight of
        each expert [T, E] and those chosen [T, top] (4), or those chosen and their weights (5).
        """
        chosen, weights = first, second
        if first.is_floating_point():
            chosen, weights = second, first.gather(1, second)
        inputs = hidden.reshape(-1, hidden.shape[-1])
        stacks = (self.gate_up_proj.matrix, self.down_proj.matrix)
        return one_by_one(inputs, chosen, weights, stacks, self.count).view_as(hidden)


def one_by_one(
    inputs: torch.Tensor,
    chosen: torch.Tensor,
    weights: torch.Tensor,
    stacks: tuple[Matrix, Matrix],
    count: int,
) -> torch.Tensor:
    """`inputs` [T, C] through the experts `chosen` [T, top] of `count`, one after another, added
    up by `weights` [T, top]; `stacks` are gate and up, and down, of all experts.
    """
    out = torch.zeros_like(inputs)
    for number in chosen.unique().tolist():
        tokens, place = (chosen == number).nonzero(as_tuple=True)
        gate_up, down = (_one(stack, number, count, inputs.dtype) for stack in stacks)
        gate, up = functional.linear(inputs[tokens], gate_up).chunk(2, dim=-1)
        made = functional.linear(functional.silu(gate) * up, down)
        out.index_add_(0, tokens, made * weights[tokens, place, None])
    return out


def _one(stack: Matrix, number: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    """The plain weight of one expert."""
    if isinstance(stack, (ByteMatrix, NibbleMatrix)):
        rows = stack.shape[0] // count
        return rows_of(stack, number * rows, rows).dequantized(dtype)
    return stack[number]


def plain_stacks(experts: Any, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gate and up [E, 2 I, C], and down [E, C, I], of transformers' own experts for inputs of
    `width` numbers: its generation 4 keeps [E, in, out], 5 [E, out, in].
    """
    gate_up, down = experts.gate_up_proj.detach(), experts.down_proj.detach()
    if gate_up.shape[2] != width or down.shape[1] != width:
        return gate_up.transpose(1, 2), down.transpose(1, 2)
    return gate_up, down


def experts_in(module: Any) -> Iterator[tuple[str, Any]]:
    """The experts of each layer that has some, by their names."""
    for number, layer in enumerate(module.model.language_model.layers):
        if hasattr(layer.mlp, "experts"):
            yield f"model.language_model.layers.{number}.mlp.experts", layer.mlp.experts


def pack_experts(experts: Any, kind: str, width: int) -> tuple[PackedExperts, list[float]] | None:
    """Plain experts, for inputs of `width` numbers, packed as `int4` or `int8`, and the errors of
    both matrices; None where they cannot be.
    """
    stacks = plain_stacks(experts, width)
    flat = [weight.flatten(0, 1) for weight in stacks]
    if kind == "int4" and not all(map(packable, flat)):
        return None
    (first, lost), (second, also_lost) = (pack(weight, kind) for weight in flat)
    return PackedExperts(first, second, len(stacks[0])), [lost, also_lost]
