"""Muon for the hidden matrices, AdamW for everything else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz coefficients of Keller Jordan's Muon (https://kellerjordan.github.io/posts/muon).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_TABLES = ("embed_tokens", "pos_embed")
# The 1,536 inputs of the patch embedding are nearly equal (flat color), so at the full rate its
# output soon drowns the position embedding that is added to it, and nothing can be placed.
_PATCH, _PATCH_SHARE = "patch_embed", 0.1


def orthogonalized(stack: Tensor, steps: int = 5) -> Tensor:
    """The nearest half-orthogonal matrix, roughly, of each matrix [n, rows, columns]."""
    x = stack.bfloat16() if stack.is_cuda else stack
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return (x.mT if tall else x).to(stack.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized; matrices of one shape are worked on together."""

    def __init__(
        self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.1
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        """One update of every matrix."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                by_shape.setdefault(weight.shape, []).append(weight)
            for shape, weights in by_shape.items():
                self._step_shape(group, shape, weights)

    def _step_shape(self, group: dict, shape: torch.Size, weights: list[nn.Parameter]) -> None:
        grads = [w.grad for w in weights]
        buffers = [self.state[w].setdefault("momentum", torch.zeros_like(w)) for w in weights]
        torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
        looked = torch._foreach_lerp(grads, buffers, group["momentum"])
        stack = torch.stack(looked).flatten(2)
        update = orthogonalized(stack) * max(1.0, stack.shape[1] / stack.shape[2]) ** 0.5
        torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
        torch._foreach_add_(weights, list(update.reshape(-1, *shape).unbind()), alpha=-group["lr"])


def optimizers(
    network: nn.Module, heads: nn.Module, muon_lr: float, adam_lr: float
) -> list[torch.optim.Optimizer]:
    """The optimizers of a network and its extra heads; `peak` keeps each peak rate."""
    hidden, patch, rest = [], [], list(heads.parameters())
    for name, weight in network.named_parameters():
        is_hidden = weight.dim() >= 2 and not any(part in name for part in _TABLES)
        (rest if not is_hidden else patch if _PATCH in name else hidden).append(weight)
    fused = rest[0].is_cuda
    result = [
        Muon(hidden, muon_lr),
        Muon(patch, muon_lr * _PATCH_SHARE),
        torch.optim.AdamW(rest, adam_lr, (0.9, 0.98), 1e-8, 0.0, fused=fused),
    ]
    for optimizer in result:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return result
