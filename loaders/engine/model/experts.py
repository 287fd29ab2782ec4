"""A layer of experts as the fast engine reads it, and its pass in plain PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from ...weights.packed.matrices import Matrix
from ...weights.packed.packed_experts import PackedExperts, one_by_one, plain_stacks


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
    """Of transformers' own block, of either generation, or with packed experts."""
    router = mlp.gate.weight.detach()
    top = int(getattr(mlp, "top_k", None) or mlp.gate.top_k)
    own = mlp.experts
    if isinstance(own, PackedExperts):
        return Experts(router, own.gate_up_proj.matrix, own.down_proj.matrix, top)
    return Experts(router, *plain_stacks(own, router.shape[1]), top)


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
    stacks = (experts.gate_up, experts.down)
    return one_by_one(inputs, chosen, weights, stacks, experts.count)
