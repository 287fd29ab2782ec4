# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Packed weights as plain ones in one pass, for products with many rows."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from ...weights.packed.matrices import ByteMatrix, Packed
from .byte_dot import byte_numbers, raw_bytes
from .launch import launch


@triton.jit
def _bytes(
    weight, scales, out, rows, width, scale_stride,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    at = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = (row < rows)[:, None] & (at < width)[None, :]
    place = row.to(tl.int64)[:, None] * width + at[None, :]
    scale_at = scales + (row // HEIGHT)[:, None] * scale_stride + (at // WIDTH)[None, :]
    scale = tl.load(scale_at, mask=inside, other=0.0)
    value = byte_numbers(tl.load(weight + place, mask=inside, other=0), scale, False) * scale
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _nibbles(
    packed, scales, zeros, code, out, rows, width, scale_stride,
    GROUP: tl.constexpr, SPAN: tl.constexpr, ZEROS: tl.constexpr, CODED: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    start = tl.program_id(1) * 8 * SPAN
    span = tl.arange(0, SPAN)
    inside = (row < rows)[:, None]
    line = packed + row.to(tl.int64)[:, None] * (width // 8) + start // 8
    for number in tl.static_range(8):
        word = (span // 2) * 2 + number // 4
        shift = 4 * (number % 4) + 16 * (span % 2)
        codes = (tl.load(line + word[None, :], mask=inside, other=0) >> shift[None, :]) & 0xF
        at = ((start + number * SPAN) // GROUP) * scale_stride + row
        scale = tl.load(scales + at, mask=row < rows, other=0.0).to(tl.float32)[:, None]
        if CODED:
            value = tl.load(code + codes)
        elif ZEROS:
            zero = tl.load(zeros + at, mask=row < rows, other=0).to(tl.float32)
            value = codes.to(tl.float32) - zero[:, None]
        else:
            value = codes.to(tl.float32) - 8.0
        place = row.to(tl.int64)[:, None] * width + start + number * SPAN + span[None, :]
        tl.store(out + place, (value * scale).to(out.dtype.element_ty), mask=inside)


def dequantize(matrix: Packed, dtype: torch.dtype) -> torch.Tensor:
    """As `matrix.dequantized(dtype)`: [N, K], rounded once, from fp32."""
    if isinstance(matrix, ByteMatrix) and matrix.rotated:
        return matrix.dequantized(dtype)  # products rotate their inputs instead
    rows, width = matrix.shape
    out = torch.empty(rows, width, dtype=dtype, device=matrix.device)
    if isinstance(matrix, ByteMatrix):
        height, wide = matrix.block
        launch(
            _bytes, (triton.cdiv(rows, 8), triton.cdiv(width, 512)),
            raw_bytes(matrix.weight), matrix.scales, out, rows, width, matrix.scales.stride(0),
            height, min(wide, 1 << 30), 8, 512,
        )  # fmt: skip
    else:
        scales = matrix.scales
        launch(
            _nibbles, (triton.cdiv(rows, 8), width // (8 * matrix.span)),
            matrix.packed, scales, scales if matrix.zeros is None else matrix.zeros,
            scales if matrix.code is None else matrix.code, out, rows, width, scales.stride(0),
            matrix.group, matrix.span, matrix.zeros is not None, matrix.code is not None, 8,
        )  # fmt: skip
    return out
