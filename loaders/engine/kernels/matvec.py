# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Matrix times a few rows, at the speed at which the matrix can be read."""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl

from .launch import launch
from .tuning.candidates import matvec_candidates
from .tuning.choices import blocks_for


@triton.jit
def _matvec(
    inputs, weight, out, norm, eps, outputs, width,
    ROWS: tl.constexpr, NORM: tl.constexpr, ADD: tl.constexpr, EVEN: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    row, chunk = tl.arange(0, ROWS), tl.arange(0, BLOCK_K)
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    exists = output < outputs
    line = weight + output.to(tl.int64)[:, None] * width
    total = tl.zeros([ROWS, BLOCK_N, BLOCK_K], tl.float32)
    squares = tl.zeros([ROWS, BLOCK_K], tl.float32)
    for start in range(0, width, BLOCK_K):
        at = start + chunk
        if EVEN:
            matrix = tl.load(line + at[None, :])
            value = tl.load(inputs + row[:, None] * width + at[None, :]).to(tl.float32)
        else:
            inside = at < width
            matrix = tl.load(line + at[None, :], mask=exists[:, None] & inside[None, :], other=0.0)
            value = tl.load(
                inputs + row[:, None] * width + at[None, :], mask=inside[None, :], other=0.0
            ).to(tl.float32)
        if NORM:
            squares += value * value
            value *= tl.load(norm + at, mask=at < width, other=0.0).to(tl.float32)[None, :]
        total += matrix.to(tl.float32)[None, :, :] * value[:, None, :]
    result = tl.sum(total, axis=2)
    if NORM:
        result *= tl.rsqrt(tl.sum(squares, axis=1) / width + eps)[:, None]
    place = out + row[:, None] * outputs + output[None, :]
    if ADD:
        # Rounded before the sum, as a separate product would be.
        result = result.to(out.dtype.element_ty).to(tl.float32)
        result += tl.load(place, mask=exists[None, :], other=0.0).to(tl.float32)
    tl.store(place, result.to(out.dtype.element_ty), mask=exists[None, :])


@triton.jit
def _gated_matvec(
    inputs, weight, out, norm, eps, outputs, width,
    ROWS: tl.constexpr, EVEN: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    row, chunk = tl.arange(0, ROWS), tl.arange(0, BLOCK_K)
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    exists = output < outputs
    gate_line = weight + output.to(tl.int64)[:, None] * width
    up_line = gate_line + outputs.to(tl.int64) * width
    gates = tl.zeros([ROWS, BLOCK_N, BLOCK_K], tl.float32)
    ups = tl.zeros([ROWS, BLOCK_N, BLOCK_K], tl.float32)
    squares = tl.zeros([ROWS, BLOCK_K], tl.float32)
    for start in range(0, width, BLOCK_K):
        at = start + chunk
        inside = at < width
        if EVEN:
            gate = tl.load(gate_line + at[None, :])
            up = tl.load(up_line + at[None, :])
        else:
            both = exists[:, None] & inside[None, :]
            gate = tl.load(gate_line + at[None, :], mask=both, other=0.0)
            up = tl.load(up_line + at[None, :], mask=both, other=0.0)
        value = tl.load(
            inputs + row[:, None] * width + at[None, :], mask=inside[None, :], other=0.0
        ).to(tl.float32)
        squares += value * value
        value *= tl.load(norm + at, mask=inside, other=0.0).to(tl.float32)[None, :]
        gates += gate.to(tl.float32)[None, :, :] * value[:, None, :]
        ups += up.to(tl.float32)[None, :, :] * value[:, None, :]
    scale = tl.rsqrt(tl.sum(squares, axis=1) / width + eps)[:, None]
    gate_sum = tl.sum(gates, axis=2) * scale
    up_sum = tl.sum(ups, axis=2) * scale
    result = gate_sum / (1.0 + tl.exp(-gate_sum)) * up_sum
    place = out + row[:, None] * outputs + output[None, :]
    tl.store(place, result.to(out.dtype.element_ty), mask=exists[None, :])


def matvec(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    *,
    norm: torch.Tensor | None = None,
    eps: float = 0.0,
    add_to: torch.Tensor | None = None,
    blocks: tuple[int, ...] | None = None,
) -> torch.Tensor:
    """`inputs` [M, K] (their RMS norm, if `norm` [K] is given) times `weight` [N, K].

    M is 1, 2 or 4. The result is added to `add_to` [M, N] in place, or returned anew.
    """
    rows, width = inputs.shape
    outputs = weight.shape[0]
    out = inputs.new_empty(rows, outputs) if add_to is None else add_to

    def again(blocks: tuple[int, ...]) -> torch.Tensor:
        spare = None if add_to is None else add_to.clone()
        return matvec(inputs, weight, norm=norm, eps=eps, add_to=spare, blocks=blocks)

    block_n, block_k, warps = blocks or blocks_for(
        _matvec, (rows, outputs, width, norm is not None, add_to is not None), inputs,
        _blocks(outputs), partial(matvec_candidates, rows, 1), again,
    )  # fmt: skip
    launch(
        _matvec, (triton.cdiv(outputs, block_n),),
        inputs, weight, out, norm, eps, outputs, width,
        rows, norm is not None, add_to is not None,
        outputs % block_n == 0 and width % block_k == 0, block_n, block_k, num_warps=warps,
    )  # fmt: skip
    return out


def gated_matvec(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    norm: torch.Tensor,
    eps: float,
    blocks: tuple[int, ...] | None = None,
) -> torch.Tensor:
    """silu(gate) * up of the RMS norm of `inputs` [M, K]; `weight` [2 * N, K], gate first."""
    rows, width = inputs.shape
    outputs = weight.shape[0] // 2
    out = inputs.new_empty(rows, outputs)
    block_n, block_k, warps = blocks or blocks_for(
        _gated_matvec, (rows, outputs, width), inputs,
        (4, 1024, 4) if rows < 4 else (2, 1024, 4), partial(matvec_candidates, rows, 2),
        partial(gated_matvec, inputs, weight, norm, eps),
    )  # fmt: skip
    launch(
        _gated_matvec, (triton.cdiv(outputs, block_n),),
        inputs, weight, out, norm, eps, outputs, width,
        rows, outputs % block_n == 0 and width % block_k == 0, block_n, block_k, num_warps=warps,
    )  # fmt: skip
    return out


def _blocks(outputs: int) -> tuple[int, int, int]:
    """(outputs a program, inputs a turn, warps); the best of a dozen measured on an H100."""
    return (4, 512, 4) if outputs > 65_536 else (2, 1024, 4)
