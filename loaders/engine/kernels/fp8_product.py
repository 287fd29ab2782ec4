# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Many rows times FP8 weights, both sides in FP8: the activations get scales of their own."""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl

from .launch import launch

# Of the official checkpoints, and what cuBLAS multiplies: 1 x 128 activations, 128 x 128 weights.
BLOCK = 128
# Rows, of which the number must be such; the scales' columns start at whole 16 bytes then.
MULTIPLE = 16


@triton.jit
def _quantize(
    inputs, out, scales, rows, more, width,
    GATED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (at < width)[None, :]
    place = row.to(tl.int64)[:, None] * width + at[None, :]
    if GATED:
        from_gate = place + row.to(tl.int64)[:, None] * width
        gate = tl.load(inputs + from_gate, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(inputs + from_gate + width, mask=inside, other=0.0)
        soft = (gate / (1.0 + tl.exp(-gate))).to(inputs.dtype.element_ty)
        value = (soft * up).to(tl.float32)
    else:
        value = tl.load(inputs + place, mask=inside, other=0.0).to(tl.float32)
    # A row of zeros has any scale.
    scale = tl.maximum(tl.max(tl.abs(value), axis=1) / 448.0, 1e-30)
    written = (row < more)[:, None] & (at < width)[None, :]
    tl.store(out + place, (value / scale[:, None]).to(tl.float8e4nv), mask=written)
    tl.store(scales + tl.program_id(1).to(tl.int64) * more + row, scale, mask=row < more)


def quantize(inputs: torch.Tensor, gated: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """`inputs` [M, K] as FP8 and a scale for every 128 of a row, [., K / 128] by columns.

    Both get rows of zeros behind, as cuBLAS wants whole `MULTIPLE`s. With `gated` it is done with
    silu(gate) * up of `inputs` [M, 2 K], gate first.
    """
    rows, width = inputs.shape[0], inputs.shape[1] // (2 if gated else 1)
    more = -(-rows // MULTIPLE) * MULTIPLE
    out = torch.empty(more, width, dtype=torch.float8_e4m3fn, device=inputs.device)
    scales = torch.empty(-(-width // BLOCK), more, device=inputs.device)
    launch(
        _quantize, (triton.cdiv(more, 32), triton.cdiv(width, BLOCK)),
        inputs, out, scales, rows, more, width, gated, 32, BLOCK, num_warps=4,
    )  # fmt: skip
    return out, scales.T


def fp8_product(inputs: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """`inputs` [M, K] times FP8 `weight` [N, K] with `scales` [N / 128, K / 128], as inputs."""
    return scaled(*quantize(inputs), weight, scales, inputs)


def scaled(
    quantized: torch.Tensor,
    own: torch.Tensor,
    weight: torch.Tensor,
    scales: torch.Tensor,
    like: torch.Tensor,
) -> torch.Tensor:
    """What `quantize` made times FP8 `weight`, with as many rows as `like` and of its type."""
    made = torch._scaled_mm(quantized, weight.T, own, scales.T, out_dtype=like.dtype)
    return made[: len(like)]


@lru_cache(maxsize=8)
def fp8_product_works(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch multiplies FP8 with such scales on this device, rightly."""
    if dtype != torch.bfloat16 or torch.cuda.get_device_capability(device) < (9, 0):
        return False
    generator = torch.Generator(device).manual_seed(0)
    weight = torch.randn(256, 512, device=device, generator=generator).to(torch.float8_e4m3fn)
    scales = torch.rand(2, 4, device=device, generator=generator) + 0.5
    inputs = torch.randn(73, 512, device=device, generator=generator).to(dtype)
    try:
        found = fp8_product(inputs, weight, scales)
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return False
    exact = inputs.float() @ (weight.float() * scales.repeat_interleave(128, 0).repeat_interleave(
        128, 1
    )).T  # fmt: skip
    return bool((found.float() - exact).norm() < 0.06 * exact.norm())
