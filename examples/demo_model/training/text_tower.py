"""The language model for training: many chats about one picture in a row, stock weight names."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.rotary import Rotation, rotate


class RMSNorm(nn.Module):
    """Root mean square norm, computed in float32."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """The last axis is the width."""
        wide = x.float()
        return (
            self.weight * wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        ).to(x.dtype)


class TextAttention(nn.Module):
    """Grouped-query attention with normed queries and keys."""

    def __init__(self, config: dict):
        super().__init__()
        width, self.dim, eps = config["hidden_size"], config["head_dim"], config["rms_norm_eps"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj = nn.Linear(width, self.heads * self.dim, bias=False)
        self.k_proj = nn.Linear(width, self.kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(width, self.kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.dim, width, bias=False)
        self.q_norm, self.k_norm = RMSNorm(self.dim, eps), RMSNorm(self.dim, eps)

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor) -> Tensor:
        """x [rows, n, width] -> the same shape."""
        rows, length, _ = x.shape
        q = self.q_norm(self.q_proj(x).view(rows, length, self.heads, self.dim)).transpose(1, 2)
        k = self.k_norm(self.k_proj(x).view(rows, length, self.kv_heads, self.dim)).transpose(1, 2)
        v = self.v_proj(x).view(rows, length, self.kv_heads, self.dim).transpose(1, 2)
        repeats = self.heads // self.kv_heads
        q, k = rotate(q, rotation), rotate(k, rotation)
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, -1))


class TextMLP(nn.Module):
    """The gated layer of SiLU."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The last axis is the width."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class TextBlock(nn.Module):
    """Attention and MLP, each after a norm."""

    def __init__(self, config: dict):
        super().__init__()
        width, eps = config["hidden_size"], config["rms_norm_eps"]
        self.self_attn = TextAttention(config)
        self.mlp = TextMLP(width, config["intermediate_size"])
        self.input_layernorm, self.post_attention_layernorm = (
            RMSNorm(width, eps),
            RMSNorm(width, eps),
        )

    def forward(self, x: Tensor, rotation: Rotation, mask: Tensor) -> Tensor:
        """x [rows, n, width] -> the same shape."""
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Text(nn.Module):
    """The language model up to its last norm."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(TextBlock(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def forward(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor,
        slots: Tensor,
        seen: Tensor,
        layers: list[Tensor],
    ) -> Tensor:
        """ids [rows, n], positions [3, rows, n], slots: flat places of the visual tokens."""

        def spread(tokens: Tensor) -> Tensor:
            """Visual tokens at their places, zeros elsewhere."""
            width = tokens.shape[-1]
            return (
                tokens.new_zeros(ids.numel(), width)
                .index_copy(0, slots, tokens)
                .view(*ids.shape, width)
            )

        is_visual = (
            torch.zeros_like(ids, dtype=torch.bool)
            .view(-1)
            .index_fill(0, slots, True)
            .view(ids.shape)
        )
        x = torch.where(is_visual[..., None], spread(seen).float(), self.embed_tokens(ids))
        rotation = self._rotation(positions)
        for number, layer in enumerate(self.layers):
            x = layer(x, rotation, mask)
            if number < len(layers):
                x = x + spread(layers[number])
        return self.norm(x)

    def _rotation(self, positions: Tensor) -> Rotation:
        """Interleaved multimodal rotary angles: time, row and column take turns."""
        dim = self.config["head_dim"]
        speeds = 1.0 / self.config["rope_theta"] ** (
            torch.arange(0, dim, 2, device=positions.device).float() / dim
        )
        axis = torch.zeros(dim // 2, dtype=torch.long, device=positions.device)
        for number in (1, 2):
            axis[number : 3 * self.config["rope_scaling"]["mrope_section"][number] : 3] = number
        angles = positions.float().permute(1, 2, 0)[..., axis] * speeds
        angles = torch.cat((angles, angles), dim=-1)[:, None]
        return angles.cos(), angles.sin()


def chat_mask(segments: Tensor) -> Tensor:
    """[rows, 1, n, n]: each chat sees the shared beginning and its own past."""
    length = segments.shape[1]
    past = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    before, after = segments[:, None, :], segments[:, :, None]
    return (past & ((before == 0) | (before == after)))[:, None]
