"""The Qwen3-VL network for training: whole batches of equal pictures, stock weight names.

`Network(config).state_dict()` is what Qwen3VLForConditionalGeneration loads, and a test holds
the two forwards equal. The stock class loops over pictures; here one batch is one tensor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.text_tower import Text, chat_mask
from training.vision_tower import Vision, waves


class Model(nn.Module):
    """The two towers under their stock names."""

    def __init__(self, config: dict):
        super().__init__()
        self.visual = Vision(config["vision_config"])
        self.language_model = Text(config["text_config"])


class Network(nn.Module):
    """Everything, with weights to start from."""

    def __init__(self, config: dict):
        super().__init__()
        self.model = Model(config)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        with torch.no_grad():
            self.model.visual.pos_embed.weight.copy_(
                waves(self.model.visual.side, self.model.visual.pos_embed.embedding_dim)
            )

    def forward(
        self,
        pixels: Tensor,
        ids: Tensor,
        positions: Tensor,
        segments: Tensor,
        slots: Tensor,
        wanted: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Visual tokens [n, d] and logits [len(wanted), vocabulary] at the flat places `wanted`.

        `segments` [rows, n]: 0 the shared beginning, 1, 2, ... independent chats, -1 padding.
        """
        seen, layers = self.model.visual(pixels)
        seen = seen.flatten(0, 1)
        flat = [layer.flatten(0, 1) for layer in layers]
        hidden = self.model.language_model(ids, positions, chat_mask(segments), slots, seen, flat)
        return seen, F.linear(
            hidden.flatten(0, 1).index_select(0, wanted),
            self.model.language_model.embed_tokens.weight,
        )
