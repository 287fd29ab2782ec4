# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Products of blocks of rows with one matrix each, out of a stack of matrices."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

from ....weights.packed.matrices import ByteMatrix, NibbleMatrix
from ..byte_dot import byte_numbers, in_assembler, raw_bytes
from ..launch import launch
from ..nibble_dot import as_numbers, scaled_sum, words_as_numbers
from ..tuning.candidates import Blocks, expert_candidates
from ..tuning.choices import blocks_for

if TYPE_CHECKING:
    from .mixing import Groups


@triton.jit
def _places(order, starts, ends, TOP: tl.constexpr, ROWS: tl.constexpr):
    """Of this program's block: its places, which of them are there, and their rows of inputs."""
    block = tl.program_id(1)
    place = tl.load(starts + block) + tl.arange(0, ROWS)
    live = place < tl.load(ends + block)
    row = place
    if TOP > 0:
        row = tl.load(order + place, mask=live, other=0) // TOP
    return place.to(tl.int64), live, row.to(tl.int64)


@triton.jit
def _plain(
    inputs, weight, out, order, experts, starts, ends,
    outputs, width, expert_stride, output_stride, input_stride,
    TOP: tl.constexpr, ROWS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(1)
    if tl.load(starts + block) >= tl.load(ends + block):
        return
    place, live, row = _places(order, starts, ends, TOP, ROWS)
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    chunk = tl.arange(0, BLOCK_K)
    own = weight + tl.load(experts + block).to(tl.int64) * expert_stride
    # A row too many is read again in place of one that is not there, and not written.
    line = own + tl.minimum(output, outputs - 1).to(tl.int64)[None, :] * output_stride
    value_at = inputs + row[:, None] * width
    total = tl.zeros([ROWS, BLOCK_N], tl.float32)
    for start in range(0, width, BLOCK_K):
        at = start + chunk
        inside = at < width
        value = tl.load(value_at + at[None, :], mask=live[:, None] & inside[None, :], other=0.0)
        matrix = tl.load(line + at[:, None] * input_stride, mask=inside[:, None], other=0.0)
        total = tl.dot(value, matrix, total, input_precision="ieee")
    mask = live[:, None] & (output < outputs)[None, :]
    tl.store(out + place[:, None] * outputs + output[None, :], total.to(out.dtype.element_ty), mask)


@triton.jit
def _bytes(
    inputs, weight, scales, out, order, experts, starts, ends,
    outputs, width, scale_stride, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, ASM: tl.constexpr,
    TOP: tl.constexpr, ROWS: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(1)
    if tl.load(starts + block) >= tl.load(ends + block):
        return
    place, live, row = _places(order, starts, ends, TOP, ROWS)
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    chunk = tl.arange(0, BLOCK_K)
    real = tl.load(experts + block).to(tl.int64) * outputs + tl.minimum(output, outputs - 1)
    line, scale = weight + real[:, None] * width, scales + (real // HEIGHT) * scale_stride
    value_at = inputs + row[None, :] * width
    total = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for start in range(0, width, BLOCK_K):
        at = start + chunk
        inside = at < width
        stored = tl.load(line + at[None, :], mask=inside[None, :], other=0)
        value = tl.load(value_at + at[:, None], mask=live[None, :] & inside[:, None], other=0.0)
        w = byte_numbers(stored, value, ASM)
        product = tl.dot(w, value, input_precision="ieee")
        total += product * tl.load(scale + start // WIDTH).to(tl.float32)[:, None]
    _write(out, total, place, live, output, outputs)


@triton.jit
def _nibbles(
    inputs, packed, scales, zeros, code, out, order, experts, starts, ends,
    outputs, width, scale_stride, GROUP: tl.constexpr,
    ZEROS: tl.constexpr, CODED: tl.constexpr, ASM: tl.constexpr,
    TOP: tl.constexpr, ROWS: tl.constexpr, BLOCK_N: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(1)
    if tl.load(starts + block) >= tl.load(ends + block):
        return
    place, live, row = _places(order, starts, ends, TOP, ROWS)
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    span = tl.arange(0, SPAN)
    real = tl.load(experts + block).to(tl.int64) * outputs + tl.minimum(output, outputs - 1)
    line = packed + real[:, None] * (width // 8)
    value_at = inputs + row[None, :] * width + span[:, None]
    total = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for start in range(0, width, 8 * SPAN):
        eight = 0
        if ASM:
            words = tl.load(line + start // 8 + span[None, :])
            eight = words_as_numbers(words, inputs.dtype.element_ty, CODED)
        product = tl.zeros([BLOCK_N, ROWS], tl.float32)
        sums = tl.zeros([ROWS], tl.float32)
        for number in tl.static_range(8):
            value = tl.load(value_at + start + number * SPAN, mask=live[None, :], other=0.0)
            if ZEROS:
                sums += tl.sum(value.to(tl.float32), axis=0)
            w = as_numbers(eight, line + start // 8, code, value, number, SPAN, ASM, CODED)
            product = tl.dot(w, value, product, input_precision="ieee")
            if (number + 1) * SPAN % GROUP == 0:
                at = ((start + number * SPAN) // GROUP) * scale_stride + real
                total = scaled_sum(product, total, scales + at, zeros + at, sums, ZEROS)
                product = tl.zeros([BLOCK_N, ROWS], tl.float32)
                sums = tl.zeros([ROWS], tl.float32)
    _write(out, total, place, live, output, outputs)


@triton.jit
def _write(out, total, place, live, output, outputs):
    mask = (output < outputs)[:, None] & live[None, :]
    at = out + place[None, :] * outputs + output[:, None]
    tl.store(at, total.to(out.dtype.element_ty), mask)


def plain_products(
    inputs: torch.Tensor, stack: torch.Tensor, blocks: Groups, top: int
) -> torch.Tensor:
    """Rows of `inputs` times `stack` [E, N, K] of any strides; [P, N], see `Groups`."""
    few = blocks.rows == 16
    block_n, block_k, warps, stages = (32, 128, 4, 3) if few else (128, 64, 8, 3)
    if inputs.dtype == torch.float32:
        block_n, block_k, stages = 32, 32, 2
    return _products(
        _plain, inputs, (stack,), stack.shape[1], blocks, stack.stride(), top,
        (block_n, block_k, warps, stages),
    )  # fmt: skip


def byte_products(
    inputs: torch.Tensor, stack: ByteMatrix, count: int, blocks: Groups, top: int
) -> torch.Tensor:
    """As `plain_products`, for `count` matrices of 8 bits, one above the other, whose blocks are
    as wide as a whole number of 128 or as a row.
    """
    asm = in_assembler(stack.weight, inputs)
    return _products(
        _bytes, inputs, (raw_bytes(stack.weight), stack.scales), stack.shape[0] // count, blocks,
        (stack.scales.stride(0), *stack.block, asm), top,
        (32, 128, 4, 3) if blocks.rows == 16 else (128, 64, 8, 3),
    )  # fmt: skip


def nibble_products(
    inputs: torch.Tensor, stack: NibbleMatrix, count: int, blocks: Groups, top: int
) -> torch.Tensor:
    """As `plain_products`, for `count` matrices of 4 bits, one above the other."""
    scales, zeros, code = stack.scales, stack.zeros, stack.code
    own = (stack.packed, scales, scales if zeros is None else zeros,
           scales if code is None else code)  # fmt: skip
    kind = (zeros is not None, code is not None, inputs.device.type == "cuda")
    return _products(
        _nibbles, inputs, own, stack.shape[0] // count, blocks,
        (scales.stride(0), stack.group, *kind), top, (32, stack.span, 4, 3),
    )  # fmt: skip


def _products(
    kernel: Any,
    inputs: torch.Tensor,
    stack: tuple[torch.Tensor, ...],
    outputs: int,
    blocks: Groups,
    numbers: tuple[int, ...],
    top: int,
    cut: Blocks,
) -> torch.Tensor:
    """Launch a kernel of this module over all blocks; `cut` is outputs a program, weights a turn,
    warps and stages, as measured on an H100.
    """

    def launched(blocks: Groups, cut: Blocks) -> torch.Tensor:
        block_n, block_k, warps, stages = cut
        out = inputs.new_empty(len(blocks.order), outputs)
        launch(
            kernel, (triton.cdiv(outputs, block_n), len(blocks.expert)),
            inputs, *stack, out, blocks.order, blocks.expert, blocks.start, blocks.end,
            outputs, inputs.shape[1], *numbers, top, blocks.rows, block_n, block_k,
            blocks=(blocks.rows, *cut), num_warps=warps, num_stages=stages,
        )  # fmt: skip
        return out

    def again(cut: Blocks) -> torch.Tensor:
        # In a rehearsal all rows choose alike; elsewhere hardly two blocks read one expert.
        count = stack[0].shape[0] // (1 if stack[0].ndim == 3 else outputs)
        spread = torch.arange(len(blocks.expert), dtype=torch.int32, device=inputs.device) % count
        return launched(replace(blocks, expert=spread), cut)

    size = min(len(blocks.order), 512).bit_length()
    facts = (blocks.rows, size, outputs, inputs.shape[1], *numbers, top)
    # A turn of 4-bit weights is as they are packed.
    others = partial(expert_candidates, cut, turn=0 if kernel is _nibbles else cut[1] // 2)
    return launched(blocks, blocks_for(kernel, facts, inputs, cut, others, again))
