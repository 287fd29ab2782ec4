"""The throw-away heads that read colour, shape, size, box and letters off single visual tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from world.cells import BOX, CLASSES, LETTERS, SLOTS, TEXT

_EMPTY_WEIGHT = 0.15  # most cells cover nothing


class CellHeads(nn.Module):
    """A norm and one linear layer from a visual token to all that a cell tells."""

    def __init__(self, width: int):
        super().__init__()
        self.sizes = [*CLASSES, 4, SLOTS * (len(LETTERS) + 1)]
        self.norm = nn.LayerNorm(width)
        self.read = nn.Linear(width, sum(self.sizes))

    def forward(self, seen: Tensor, cells: Tensor) -> Tensor:
        """Mean loss; seen [n, width], cells [n, COLUMNS] with -1 where nothing is told."""
        *kinds, box, text = self.read(self.norm(seen)).float().split(self.sizes, dim=-1)
        loss = sum(_weighted(logits, cells[:, k]) for k, logits in enumerate(kinds))
        letters = _weighted(text.reshape(-1, len(LETTERS) + 1), cells[:, TEXT].reshape(-1))
        there = (cells[:, 3:4] >= 0).float()
        off = (box.sigmoid() - cells[:, BOX] / 1000).abs() * there
        return loss + letters + 8 * off.sum() / (4 * there.sum() + 1)


def _weighted(logits: Tensor, truth: Tensor) -> Tensor:
    each = F.cross_entropy(logits, truth.clamp(min=0), reduction="none")
    weight = torch.where(truth > 0, 1.0, _EMPTY_WEIGHT) * (truth >= 0)
    return (each * weight).sum() / (weight.sum() + 1)
