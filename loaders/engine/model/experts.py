"""A layer of experts as the fast engine reads it, and its pass in plain PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ...weights.packed.matrices import ByteMatrix, Matrix, NibbleMatrix
from ...weights.packed.packed_linear import PackedLinear, rows_of


@dataclass(frozen=True, slots=True)
class Experts:
    """Gated MLPs of which each token takes the `top` best ones of E.

    `router` is [E, C]; `gate_up` [E, 2 I, C] and `down` [E, C, I] are views of any strides, or
    packed with the experts' rows one above the other, [E * 2 I, C] and [E * C, I].
    """

    router: torch.Tensor
    gate_up: Matrix
    down: Matrix
    top: int

    @property
    def count(self) -> int:
        """E."""
        return self.router.shape[0]


def experts_of(mlp: Any) -> Experts:
    """Of transformers' own block, of either generation: 4 keeps [E, in, out], 5 [E, out, in]."""
    router = mlp.gate.weight.detach()
    top = getattr(mlp, "top_k", None) or mlp.gate.top_k
    own = mlp.experts.gate_up_proj, mlp.experts.down_proj
    if all(isinstance(part, PackedLinear) for part in own):
        return Experts(router, own[0].matrix, own[1].matrix, int(top))
    width = router.shape[1]
    gate_up, down = (weight.detach() for weight in own)
    if gate_up.shape[2] != width or down.shape[1] != width:
        gate_up, down = gate_up.transpose(1, 2), down.transpose(1, 2)
    return Experts(router, gate_up, down, int(top))


def route(inputs: torch.Tensor, experts: Experts) -> tuple[torch.Tensor, torch.Tensor]:
    """Which experts [T, top] each row of `inputs` [T, C] takes, and with what weights, which add
    up to 1.
    """
    chances = functional.softmax(functional.linear(inputs, experts.router), -1, torch.float)
    weights, chosen = chances.topk(experts.top, dim=-1)
    weights = weights / weights.sum(-1, keepdim=True)
    return chosen, weights.to(inputs.dtype)


def mixed(inputs: torch.Tensor, experts: Experts) -> torch.Tensor:
    """`inputs` [T, C] through their experts, one expert after another; [T, C]."""
    chosen, weights = route(inputs, experts)
    out = torch.zeros_like(inputs)
    for number in chosen.unique().tolist():
        tokens, place = (chosen == number).nonzero(as_tuple=True)
        gate_up = functional.linear(inputs[tokens], one(experts.gate_up, number, experts, inputs))
        gate, up = gate_up.chunk(2, dim=-1)
        down = one(experts.down, number, experts, inputs)
        made = functional.linear(functional.silu(gate) * up, down)
        out.index_add_(0, tokens, made * weights[tokens, place, None])
    return out


def one(matrix: Matrix, number: int, experts: Experts, like: torch.Tensor) -> torch.Tensor:
    """The plain weight of expert `number`, of the type of `like`."""
    if isinstance(matrix, (ByteMatrix, NibbleMatrix)):
        rows = matrix.shape[0] // experts.count
        return rows_of(matrix, number * rows, rows).dequantized(like.dtype)
    return matrix[number]
