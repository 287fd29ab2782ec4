"""The vision tower for training: whole batches of equal pictures, stock weight names."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.rotary import Rotation, rotate


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
