"""Experts that keep their weights packed; the fast engine reads them as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .matrices import Packed
from .packed_linear import PackedLinear, rows_of
from .packing import pack, packable


class PackedExperts(nn.Module):
    """transformers' experts of one layer on two packed matrices, in which the `count` experts'
    rows lie one above the other.

    Called as a module it makes plain weights each time, which is right everywhere and slow.
    """

    def __init__(self, gate_up: Packed, down: Packed, count: int):
        super().__init__()
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
        out = torch.zeros_like(inputs)
        for number in chosen.unique().tolist():
            tokens, place = (chosen == number).nonzero(as_tuple=True)
            gate_up = functional.linear(
                inputs[tokens], self._one(self.gate_up_proj, number, hidden)
            )
            gate, up = gate_up.chunk(2, dim=-1)
            made = functional.linear(
                functional.silu(gate) * up, self._one(self.down_proj, number, hidden)
            )
            out.index_add_(0, tokens, made * weights[tokens, place, None])
        return out.view_as(hidden)

    def _one(self, part: PackedLinear, number: int, like: torch.Tensor) -> torch.Tensor:
        rows = part.out_features // self.count
        return rows_of(part.matrix, number * rows, rows).dequantized(like.dtype)


def experts_in(module: Any) -> Iterator[tuple[str, Any]]:
    """The experts of each layer that has some, by their names."""
    for number, layer in enumerate(module.model.language_model.layers):
        if hasattr(layer.mlp, "experts"):
            yield f"model.language_model.layers.{number}.mlp.experts", layer.mlp.experts


def pack_experts(experts: Any, kind: str, width: int) -> tuple[PackedExperts, list[float]] | None:
    """Plain experts, for inputs of `width` numbers, packed as `int4` or `int8`, and the errors of
    both matrices; None where they cannot be.
    """
    gate_up, down = experts.gate_up_proj.detach(), experts.down_proj.detach()
    if gate_up.shape[2] != width or down.shape[1] != width:  # transformers 4: [E, in, out]
        gate_up, down = gate_up.transpose(1, 2), down.transpose(1, 2)
    flat = [weight.flatten(0, 1) for weight in (gate_up, down)]
    if kind == "int4" and not all(map(packable, flat)):
        return None
    (first, lost), (second, also_lost) = (pack(weight, kind) for weight in flat)
    return PackedExperts(first, second, len(gate_up)), [lost, also_lost]
