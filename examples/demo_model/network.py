"""The Qwen3-VL network for training: whole batches of equal pictures, stock weight names.

`Network(config).state_dict()` is what Qwen3VLForConditionalGeneration loads, and a test holds
the two forwards equal. The stock class loops over pictures; here one batch is one tensor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Rotation = tuple[Tensor, Tensor]


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotary embedding; x [..., n, head_dim], cos and sin broadcast to it."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return (x * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


class VisionAttention(nn.Module):
    """Attention among the patches of one picture."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """x [pictures, patches, width] -> the same shape."""
        pictures, patches, width = x.shape
        q, k, v = self.qkv(x).view(pictures, patches, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v)
        return self.proj(mixed.transpose(1, 2).reshape(pictures, patches, width))


class VisionMLP(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.linear_fc1 = nn.Linear(width, inner)
        self.linear_fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """The last axis is the width."""
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class VisionBlock(nn.Module):
    """Attention and MLP, each after a norm."""

    def __init__(self, config: dict):
        super().__init__()
        width = config["hidden_size"]
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.attn = VisionAttention(width, config["num_heads"])
        self.mlp = VisionMLP(width, config["intermediate_size"])

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:
        """x [pictures, patches, width] -> the same shape."""
        x = x + self.attn(self.norm1(x), rotation)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """Joins 2x2 neighbouring patches into one visual token."""

    def __init__(self, config: dict, norm_joined: bool):
        super().__init__()
        joined = config["hidden_size"] * 4
        self.norm_joined = norm_joined
        self.norm = nn.LayerNorm(joined if norm_joined else config["hidden_size"], eps=1e-6)
        self.linear_fc1 = nn.Linear(joined, joined)
        self.linear_fc2 = nn.Linear(joined, config["out_hidden_size"])

    def forward(self, x: Tensor) -> Tensor:
        """The last axis is the width."""
        pictures, patches, width = x.shape
        shape = (pictures, patches // 4, width * 4)
        x = self.norm(x.reshape(shape)) if self.norm_joined else self.norm(x).reshape(shape)
        return self.linear_fc2(F.gelu(self.linear_fc1(x)))


class PatchEmbed(nn.Module):
    """One vector for each pair of patches."""

    def __init__(self, config: dict):
        super().__init__()
        edge = (config["temporal_patch_size"], config["patch_size"], config["patch_size"])
        self.proj = nn.Conv3d(config["in_channels"], config["hidden_size"], edge, edge)

    def forward(self, patches: Tensor) -> Tensor:
        """patches [..., 3 * 2 * 16 * 16] -> [..., hidden]"""
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


class Vision(nn.Module):
    """The vision tower with its deepstack taps."""

    def __init__(self, config: dict):
        super().__init__()
        self.config = config
        self.side = int(config["num_position_embeddings"] ** 0.5)
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Embedding(config["num_position_embeddings"], config["hidden_size"])
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config["depth"]))
        self.merger = Merger(config, norm_joined=False)
        self.taps = config["deepstack_visual_indexes"]
        self.deepstack_merger_list = nn.ModuleList(
            Merger(config, norm_joined=True) for _ in self.taps
        )

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """pixels uint8 [pictures, 1 or 2, height, width, 3] -> tokens, deepstack."""
        rows, columns = pixels.shape[2] // 16, pixels.shape[3] // 16
        x = self.patch_embed(to_patches(pixels).div(127.5).sub(1.0))
        x = x + self._positions(rows, columns, x.device).to(x.dtype)
        rotation = self._rotation(rows, columns, x.device)
        layers = []
        for number, block in enumerate(self.blocks):
            x = block(x, rotation)
            if number in self.taps:
                layers.append(self.deepstack_merger_list[self.taps.index(number)](x))
        return self.merger(x), layers

    def _positions(self, rows: int, columns: int, device) -> Tensor:
        """The learnt square grid, resampled to the picture's grid, in merge order."""
        grid = self.pos_embed.weight.view(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid.float(), (rows, columns), mode="bilinear", align_corners=True)
        return merge_order(grid[0].permute(1, 2, 0)).flatten(0, 1)

    def _rotation(self, rows: int, columns: int, device) -> Rotation:
        dims = self.config["hidden_size"] // self.config["num_heads"] // 2
        speeds = 1.0 / 10000 ** (torch.arange(0, dims, 2, device=device).float() / dims)
        at_y = torch.arange(rows, device=device).float()[:, None, None].expand(rows, columns, 1)
        at_x = torch.arange(columns, device=device).float()[None, :, None].expand(rows, columns, 1)
        angles = torch.cat((at_y * speeds, at_x * speeds), dim=-1)
        angles = merge_order(angles).flatten(0, 1).repeat(1, 2)
        return angles.cos(), angles.sin()


def waves(side: int, width: int) -> Tensor:
    """A first position table [side * side, width]: waves of 1/8 to 8 periods."""
    angles = torch.linspace(0, 1, side)[:, None] * (
        2 * torch.pi * torch.logspace(-3, 3, width // 4, base=2.0)
    )
    line = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat((rows, columns), dim=-1).flatten(0, 1)


def merge_order(grid: Tensor) -> Tensor:
    """[rows, columns, d] -> [rows*columns/4, 4, d]: the four patches of a token side by side."""
    rows, columns, width = grid.shape
    return grid.view(rows // 2, 2, columns // 2, 2, width).transpose(1, 2).reshape(-1, 4, width)


def to_patches(pixels: Tensor) -> Tensor:
    """uint8 [n, 1 or 2, height, width, 3] -> float [n, patches, 1536] in the processor's order."""
    pixels = pixels.expand(-1, 2, -1, -1, -1)
    count, frames, height, width, _ = pixels.shape
    grid = pixels.reshape(count, frames, height // 32, 2, 16, width // 32, 2, 16, 3)
    return grid.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(count, height * width // 256, -1).float()


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


def chat_mask(segments: Tensor) -> Tensor:
    """[rows, 1, n, n]: each chat sees the shared beginning and its own past."""
    length = segments.shape[1]
    past = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    before, after = segments[:, None, :], segments[:, :, None]
    return (past & ((before == 0) | (before == after)))[:, None]
