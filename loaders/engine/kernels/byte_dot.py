# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Few rows times 8-bit weights with a scale for each block, on the tensor cores.

The weights are read once, as they are; they become 16-bit numbers in registers, exactly.
"""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl

from .dot_ending import counters, gate, is_last, most_rows, sum_of, write
from .launch import launch
from .tuning.candidates import Blocks, dot_candidates
from .tuning.choices import blocks_for

# Four e4m3 numbers to bf16: sign and the seven other bits are moved to their places, which makes
# each 2 ** 120 times too small, subnormal ones too; the product with 2 ** 120 is exact.
_E4M3_TO_BF16 = tl.constexpr("""
{
    .reg .b32 a, b, c, d;
    prmt.b32 a, $2, 0, 0x1404;
    prmt.b32 b, $2, 0, 0x3424;
    shr.u32 c, a, 4;
    shr.u32 d, b, 4;
    and.b32 c, c, 0x07F007F0;
    and.b32 d, d, 0x07F007F0;
    lop3.b32 a, a, 0x80008000, c, 0xEA;
    lop3.b32 b, b, 0x80008000, d, 0xEA;
    mov.b32 c, 0x7B807B80;
    mov.b32 d, 0x80008000;
    fma.rn.bf16x2 $0, a, c, d;
    fma.rn.bf16x2 $1, b, c, d;
}
""")


@triton.jit
def byte_numbers(stored, like, ASM: tl.constexpr):
    """Bytes of `raw_bytes` as numbers of the type of `like`, exactly."""
    if ASM:
        return tl.inline_asm_elementwise(
            _E4M3_TO_BF16, "=r,=r,r", [stored], dtype=tl.bfloat16, is_pure=True, pack=4
        )
    if stored.dtype == tl.uint8:
        # As fp16 with the same bits each is 256 times too small, subnormal ones too.
        wide = stored.to(tl.uint16)
        half = (((wide & 0x80) << 8) | ((wide & 0x7F) << 7)).to(tl.float16, bitcast=True)
        return (half.to(tl.float32) * 256.0).to(like.dtype)
    return stored.to(like.dtype)


def raw_bytes(weight: torch.Tensor) -> torch.Tensor:
    """8-bit weights as kernels get them, FP8 as uint8: before compute 8.9 Triton refuses a kernel
    that only hears of e4m3.
    """
    return weight.view(torch.uint8) if weight.dtype == torch.float8_e4m3fn else weight


def in_assembler(weight: torch.Tensor, inputs: torch.Tensor) -> bool:
    """Whether these weights become numbers four at a time."""
    fp8 = weight.dtype == torch.float8_e4m3fn
    return fp8 and inputs.dtype == torch.bfloat16 and inputs.device.type == "cuda"


@triton.jit
def _byte_dot(
    inputs, weight, scales, out, parts, turns,
    rows, outputs, width, scale_stride,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr, GATED: tl.constexpr, ASM: tl.constexpr,
    EVEN: tl.constexpr, ROWS: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row, chunk = tl.arange(0, ROWS), tl.arange(0, BLOCK_K)
    # A row too many is read again in place of one that is not there, and not written.
    real = tl.minimum(output, outputs - 1)
    line = weight + real.to(tl.int64)[:, None] * width + chunk[None, :]
    scale = scales + (real // HEIGHT) * scale_stride
    up_line = line + outputs.to(tl.int64) * width
    up_scale = scales + ((real + outputs) // HEIGHT) * scale_stride
    value_at = inputs + row[None, :] * width + chunk[:, None]
    live = (row < rows)[None, :]
    share = tl.cdiv(tl.cdiv(width, BLOCK_K), SPLIT) * BLOCK_K
    begin = tl.program_id(1) * share
    end = tl.minimum(begin + share, width)
    total = tl.zeros([BLOCK_N, ROWS], tl.float32)
    ups = tl.zeros([BLOCK_N, ROWS], tl.float32)
    nothing = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for start in range(begin, end, BLOCK_K):
        inside = start + chunk < width
        if EVEN:
            stored = tl.load(line + start)
            value = tl.load(value_at + start, mask=live, other=0.0)
        else:
            stored = tl.load(line + start, mask=inside[None, :], other=0.0)
            value = tl.load(value_at + start, mask=live & inside[:, None], other=0.0)
        at = start // WIDTH
        product = tl.dot(byte_numbers(stored, value, ASM), value, nothing, input_precision="ieee")
        total += product * tl.load(scale + at).to(tl.float32)[:, None]
        if GATED:
            if EVEN:
                stored = tl.load(up_line + start)
            else:
                stored = tl.load(up_line + start, mask=inside[None, :], other=0.0)
            product = tl.dot(
                byte_numbers(stored, value, ASM), value, nothing, input_precision="ieee"
            )
            ups += product * tl.load(up_scale + at).to(tl.float32)[:, None]
    if GATED:
        total = gate(total, ups)
    if SPLIT == 1:
        write(out, total, output, row, outputs, rows)
    else:
        at = tl.arange(0, BLOCK_N)[:, None] * ROWS + row[None, :]
        if is_last(parts, turns, total, at, SPLIT):
            write(out, sum_of(parts, turns, at, SPLIT), output, row, outputs, rows)


def byte_dot(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    scales: torch.Tensor,
    block: tuple[int, int],
    *,
    gated: bool = False,
    blocks: Blocks | None = None,
) -> torch.Tensor:
    """`inputs` [M, K] times `weight` [N, K].

    Args:
        inputs: at most 64 rows.
        weight: float8_e4m3fn or int8.
        scales: fp32 [ceil(N / height), ceil(K / width)].
        block: height and width of a block; a width of K or more is one scale for a row.
        gated: the upper half of `weight` is gate, the lower up: silu(gate) * up is returned.
        blocks: outputs a program, weights a turn, pieces along the width, warps, stages.
    """
    rows, width = inputs.shape
    outputs = weight.shape[0] // (2 if gated else 1)
    out = inputs.new_empty(rows, outputs)
    most = most_rows(rows)
    if blocks is None:
        own = _blocks(outputs, width, most, gated)
        blocks = blocks_for(
            _byte_dot, (most, outputs, width, *block, gated, str(weight.dtype)), inputs, own,
            partial(dot_candidates, own, outputs, gated=gated, turn=64),
            lambda cut: byte_dot(inputs, weight, scales, block, gated=gated, blocks=cut),
        )  # fmt: skip
    block_n, block_k, split, warps, stages = blocks
    whole = block[1] >= width
    if gated:
        split = 1  # the gate is not a sum
    programs = triton.cdiv(outputs, block_n)
    parts = turns = out
    if split > 1:
        parts = torch.empty(programs * split * block_n * most, device=inputs.device)
        turns = counters(inputs.device)
    launch(
        _byte_dot, (programs, split),
        inputs, raw_bytes(weight), scales, out, parts, turns,
        rows, outputs, width, scales.stride(0),
        block[0], 1 << 30 if whole else block[1],
        gated, in_assembler(weight, inputs), width % block_k == 0, most, block_n, block_k, split,
        blocks=(most, *blocks), num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


def _blocks(outputs: int, width: int, rows: int, gated: bool) -> Blocks:
    """The best of a dozen measured on an H100."""
    if rows <= 16:
        split = 1 if gated or outputs >= 12_288 else (8 if outputs <= 4_096 else 4)
        return 32, 128, split, 2, 3
    split = 1 if gated or outputs >= 6_144 else 4
    return (32 if gated and rows <= 32 else 64), 128, split, 4, 3
