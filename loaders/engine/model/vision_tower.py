"""The vision tower over many pictures packed in one pass, without a host sync on the way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..request.encoding import Visual
from ..state.transfer import upload
from .torch_ops import TorchOps
from .vision_attention import ROWS_AT_ONCE, PictureAttention

# Patches in one pass (a picture of 1024 x 1024 has 4,096): enough to fill a large GPU, and a
# bound on memory and on the time until an interrupt is seen.
PASS_PATCHES = 32_768
PASS_PATCHES_CPU = 4_096
# Positions of so many different picture sizes stay on the device (about 3 MB each).
GRIDS_KEPT = 16


class _Grid:
    """What depends on a picture's size alone: position embedding and rotation of each patch."""

    def __init__(self, tower: Any, grid_hw: tuple[int, int], device: torch.device):
        rows, columns = _merge_order(grid_hw, tower.spatial_merge_size)
        side = tower.num_grid_per_side
        corners, weights = _bilinear(rows, columns, grid_hw, side)
        table = tower.pos_embed.weight.detach()
        taken = functional.embedding(upload(corners, device), table)
        self.embedding = (taken * upload(weights, device)[:, :, None]).sum(1).to(table.dtype)
        places = upload(np.stack((rows, columns), axis=1).astype(np.float32), device)
        inv_freq = tower.rotary_pos_emb.inv_freq.float()
        angles = (places[:, :, None] * inv_freq).flatten(1)
        self.cos, self.sin = angles.cos(), angles.sin()


class VisionTower:
    """Features of pictures from the module's own `visual` blocks.

    Args:
        visual: the module's vision tower.
        image_processor: gives mean, standard deviation and scale of the pixels.
        ops: the small steps.
    """

    def __init__(self, visual: Any, image_processor: Any, ops: TorchOps):
        self._visual, self._ops = visual, ops
        self._weight = visual.patch_embed.proj.weight.detach().flatten(1)
        self._bias = visual.patch_embed.proj.bias
        self._device, self._dtype = self._weight.device, self._weight.dtype
        scale = 1.0 / float(image_processor.rescale_factor)
        self._mean = [float(m) * scale for m in image_processor.image_mean]
        self._std = [float(s) * scale for s in image_processor.image_std]
        self._grids: OrderedDict[tuple[int, int], _Grid] = OrderedDict()
        attention = visual.blocks[0].attn
        self._heads = int(attention.num_heads)
        self._attend = PictureAttention(
            self._device, self._dtype, self._heads, attention.dim // self._heads
        )

    def __call__(
        self, visuals: Sequence[Visual], tick: Callable[[], None] = lambda: None
    ) -> list[torch.Tensor]:
        """For each picture [1 + deepstack levels, tokens, C]; `tick` is called at every block."""
        budget = PASS_PATCHES if self._device.type == "cuda" else PASS_PATCHES_CPU
        features: list[torch.Tensor] = []
        group: list[Visual] = []
        for visual in visuals:
            if group and sum(map(_patches, group)) + _patches(visual) > budget:
                features += self._pass(group, tick)
                group = []
            group.append(visual)
        return features + self._pass(group, tick) if group else features

    def _pass(self, visuals: list[Visual], tick: Callable[[], None]) -> list[torch.Tensor]:
        order = self._attend.order([_patches(visual) for visual in visuals])
        packed = self._packed([visuals[i] for i in order], tick)
        parts = packed.split([visuals[i].tokens for i in order], dim=1)
        return [part for _, part in sorted(zip(order, parts, strict=True), key=lambda x: x[0])]

    def _packed(self, visuals: list[Visual], tick: Callable[[], None]) -> torch.Tensor:
        """[1 + deepstack levels, tokens of all pictures, C]."""
        grids = [self._grid(visual.grid_hw) for visual in visuals]
        pixels = torch.cat([self._values(visual) for visual in visuals])
        hidden = functional.linear(pixels, self._weight, self._bias)
        hidden += torch.cat([grid.embedding for grid in grids])
        rotary = (torch.cat([g.cos for g in grids]), torch.cat([g.sin for g in grids]))
        lengths = [_patches(visual) for visual in visuals]
        stretches = self._attend.plan(lengths)
        tower, ops, delta, levels = self._visual, self._ops, None, []
        for index, block in enumerate(tower.blocks):
            tick()
            normed = ops.add_layer_norm(delta, hidden, block.norm1)
            qkv = ops.rotate_vision(block.attn.qkv(normed), self._heads, rotary)
            delta = block.attn.proj(self._attend(qkv, stretches, lengths, tick))
            normed = ops.add_layer_norm(delta, hidden, block.norm2)
            delta = self._mlp(block.mlp, normed, tick)
            if index in tower.deepstack_visual_indexes:
                hidden += delta
                delta = None
                level = tower.deepstack_visual_indexes.index(index)
                levels.append(tower.deepstack_merger_list[level](hidden))
        if delta is not None:
            hidden += delta
        return torch.stack([tower.merger(hidden), *levels])

    def _mlp(self, mlp: Any, normed: torch.Tensor, tick: Callable[[], None]) -> torch.Tensor:
        """All rows at once on a GPU; elsewhere in pieces, so that an interrupt is seen."""
        if self._device.type == "cuda":
            return self._ops.vision_mlp(mlp, normed)
        pieces = []
        for rows in normed.split(ROWS_AT_ONCE):
            tick()
            pieces.append(self._ops.vision_mlp(mlp, rows))
        return torch.cat(pieces)

    def _values(self, visual: Visual) -> torch.Tensor:
        """The picture's patches [n, values], normalized as the processor does it."""
        data = upload(visual.data, self._device)
        if data.dtype != torch.uint8:
            return data.to(self._dtype)
        merge, side = self._visual.spatial_merge_size, self._visual.patch_size
        height, width = visual.grid_hw
        blocks = data.view(height // merge, merge, side, width // merge, merge, side, 3)
        patches = blocks.permute(0, 3, 1, 4, 6, 2, 5).reshape(height * width, 3, side * side)
        mean, std = (
            upload(np.asarray(v, dtype=np.float32), self._device)[:, None]
            for v in (self._mean, self._std)
        )
        values = ((patches.float() - mean) / std).to(self._dtype)
        # A still picture is both frames of its pair.
        return values[:, :, None].expand(-1, -1, 2, -1).reshape(height * width, -1)

    def _grid(self, grid_hw: tuple[int, int]) -> _Grid:
        if grid_hw not in self._grids:
            self._grids[grid_hw] = _Grid(self._visual, grid_hw, self._device)
        self._grids.move_to_end(grid_hw)
        grid = self._grids[grid_hw]
        if len(self._grids) > GRIDS_KEPT:
            self._grids.popitem(last=False)
        return grid


def _patches(visual: Visual) -> int:
    return visual.grid_hw[0] * visual.grid_hw[1]


def _merge_order(grid_hw: tuple[int, int], merge: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each patch, in the order of 2 x 2 blocks that become one token."""
    height, width = grid_hw
    row, column = np.mgrid[:height, :width]
    shape = (height // merge, merge, width // merge, merge)
    return tuple(a.reshape(shape).swapaxes(1, 2).reshape(-1) for a in (row, column))  # type: ignore


def _bilinear(
    rows: np.ndarray, columns: np.ndarray, grid_hw: tuple[int, int], side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices [n, 4] into the learned side x side grid, and weights [n, 4] float32."""
    taps, weights = [], []
    for at, size in ((rows, grid_hw[0]), (columns, grid_hw[1])):
        exact = at.astype(np.float32) * np.float32(side - 1) / np.float32(max(size - 1, 1))
        low = np.floor(exact).astype(np.int64)
        high = np.minimum(low + 1, side - 1)
        part = exact - low
        taps.append(np.stack((low, high), axis=1))
        weights.append(np.stack((1 - part, part), axis=1))
    corners = (taps[0][:, :, None] * side + taps[1][:, None, :]).reshape(-1, 4)
    mixed = (weights[0][:, :, None] * weights[1][:, None, :]).reshape(-1, 4)
    return corners, mixed.astype(np.float32)
