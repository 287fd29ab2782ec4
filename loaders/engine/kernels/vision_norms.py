# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""The vision tower's small steps as Triton kernels."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import nn

from .launch import launch


@triton.jit
def _add_layer_norm(
    delta, hidden, weight, bias, out, eps, width, HAS_DELTA: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(hidden + row + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_DELTA:
        value += tl.load(delta + row + at, mask=inside, other=0.0).to(tl.float32)
        rounded = value.to(hidden.dtype.element_ty)
        tl.store(hidden + row + at, rounded, mask=inside)
        value = rounded.to(tl.float32)
    centred = tl.where(inside, value - tl.sum(value) / width, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred) / width + eps)
    gain = tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(bias + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row + at, (centred * scale * gain + shift).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _rotate_vision(
    qkv, cos, sin, HEADS: tl.constexpr, HALF: tl.constexpr, PAD: tl.constexpr, BLOCK: tl.constexpr
):
    token = tl.program_id(0).to(tl.int64)
    head = tl.arange(0, BLOCK)
    half = tl.arange(0, PAD)[None, :]
    inside = (head < 2 * HEADS)[:, None] & (half < HALF)
    base = qkv + (token * 3 * HEADS + head[:, None]) * (2 * HALF) + half
    first = tl.load(base, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(base + HALF, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(cos + token * HALF + half, mask=half < HALF, other=0.0)
    s = tl.load(sin + token * HALF + half, mask=half < HALF, other=0.0)
    dtype = qkv.dtype.element_ty
    tl.store(base, (first * c - second * s).to(dtype), mask=inside)
    tl.store(base + HALF, (second * c + first * s).to(dtype), mask=inside)


def add_layer_norm(
    delta: torch.Tensor | None, hidden: torch.Tensor, norm: nn.LayerNorm
) -> torch.Tensor:
    """Add `delta` to `hidden` [N, C] in place, and return the layer norm of the sum."""
    rows, width = hidden.shape
    out = torch.empty_like(hidden)
    launch(
        _add_layer_norm, (rows,),
        delta, hidden, norm.weight, norm.bias, out, norm.eps, width, delta is not None,
        triton.next_power_of_2(width),
    )  # fmt: skip
    return out


def rotate_pictures(
    qkv: torch.Tensor, heads: int, cos: torch.Tensor, sin: torch.Tensor
) -> torch.Tensor:
    """Rotate queries and keys of `qkv` [N, 3 * C] in place; [N, 3, heads, D]."""
    packed = qkv.view(qkv.shape[0], 3, heads, -1)
    half = packed.shape[3] // 2
    launch(
        _rotate_vision, (len(qkv),),
        qkv, cos, sin, heads, half, triton.next_power_of_2(half),
        triton.next_power_of_2(2 * heads),
    )  # fmt: skip
    return packed
