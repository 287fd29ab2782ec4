# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Few rows times 4-bit weights with a scale for each group, on the tensor cores.

The layout is `matrices.NibbleMatrix`'s, made for this kernel: a shift, a mask and an addition
turn parts of two 32-bit words into two 16-bit numbers that lie where the tensor cores want them.
"""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl

from ...weights.packed.matrices import NF4
from .dot_ending import counters, gate, is_last, most_rows, sum_of, write
from .launch import launch
from .tuning.candidates import Blocks, dot_candidates
from .tuning.choices import blocks_for

_OUT = tl.constexpr(",".join(["=r"] * 8) + ",r,r")


def _from_words(constants: str, each: str) -> tl.constexpr:
    """PTX for two neighbouring words $8 and $9, whose 4 x 4 bits become eight pairs $0 to $7."""
    lines = "".join(
        f"shr.u32 a, ${8 + i // 4}, {4 * (i % 4)};\n" + each.format(to=i) for i in range(8)
    )
    return tl.constexpr("{\n.reg .b32 a, one, less;\n" + constants + lines + "}\n")


_MASK = "lop3.b32 a, a, 0x000F000F, {magic}, 0xEA;\n"
_ADD = "fma.rn.{kind} ${{to}}, a, one, less;\n"
# 0x4300 | n is the bf16 number 128 + n, and 0x6400 | n the fp16 number 1024 + n.
_TO_BF16 = _from_words(
    "mov.b32 one, 0x3F803F80;\nmov.b32 less, 0xC308C308;\n",
    _MASK.format(magic="0x43004300") + _ADD.format(kind="bf16x2"),
)
_TO_FP16 = _from_words(
    "mov.b32 one, 0x3C003C00;\nmov.b32 less, 0xE408E408;\n",
    _MASK.format(magic="0x64006400") + _ADD.format(kind="f16x2"),
)
# Sixteen numbers as two bytes each: `prmt` looks up four bytes at once among eight, so the high
# and the low bytes of both halves of the table are looked up, and each code's bit 3 chooses.
_LOOK_UP = """
and.b32 s, {half}, 0x7777;
shl.b32 m, {half}, 4;
prmt.b32 m, {half}, m, 0x9D8C;
prmt.b32 a, h0, h1, s;
prmt.b32 b, h2, h3, s;
lop3.b32 a, a, b, m, 0xD8;
prmt.b32 b, l0, l1, s;
prmt.b32 c, l2, l3, s;
lop3.b32 b, b, c, m, 0xD8;
prmt.b32 {to}0, b, a, 0x5140;
prmt.b32 {to}1, b, a, 0x7362;
"""


def _from_table(dtype: torch.dtype) -> tl.constexpr:
    """PTX as `_from_words`, for NF4's sixteen numbers."""
    table = torch.tensor(NF4, dtype=torch.float32).to(dtype).view(torch.int16).tolist()
    lines = [".reg .b32 a, b, c, m, s, w, h<4>, l<4>, e<2>, o<2>;"]
    for name, shift in (("h", 8), ("l", 0)):
        for i in range(4):
            four = [(table[4 * i + j] >> shift) & 0xFF for j in range(4)]
            number = sum(byte << (8 * j) for j, byte in enumerate(four))
            lines.append(f"mov.b32 {name}{i}, {number:#010x};")
    for word in (0, 1):
        lines.append(_LOOK_UP.format(half=f"${8 + word}", to="e"))
        lines.append(f"shr.u32 w, ${8 + word}, 16;")
        lines.append(_LOOK_UP.format(half="w", to="o"))
        for i in range(4):
            pick = "0x5410" if i % 2 == 0 else "0x7632"
            lines.append(f"prmt.b32 ${4 * word + i}, e{i // 2}, o{i // 2}, {pick};")
    return tl.constexpr("{\n" + "\n".join(lines) + "\n}\n")


_NF4_TO_BF16, _NF4_TO_FP16 = _from_table(torch.bfloat16), _from_table(torch.float16)
_FP16, _BF16 = (tl.constexpr((kind,) * 8) for kind in (tl.float16, tl.bfloat16))


@triton.jit
def words_as_numbers(words, DTYPE: tl.constexpr, CODED: tl.constexpr):
    """Words [BLOCK_N, SPAN] as eight blocks of numbers."""
    if DTYPE == tl.float16:  # noqa: SIM300 - the compiler wants the parameter first
        ptx: tl.constexpr = _NF4_TO_FP16 if CODED else _TO_FP16
        eight = tl.inline_asm_elementwise(ptx, _OUT, [words], dtype=_FP16, is_pure=True, pack=2)
    else:
        ptx: tl.constexpr = _NF4_TO_BF16 if CODED else _TO_BF16
        eight = tl.inline_asm_elementwise(ptx, _OUT, [words], dtype=_BF16, is_pure=True, pack=2)
    return eight


@triton.jit
def _codes(line, number: tl.constexpr, SPAN: tl.constexpr):
    """Block `number` of the codes at `line` [BLOCK_N, 1], by ordinary arithmetic."""
    k = tl.arange(0, SPAN)
    own = (k // 2) * 2 + number // 4
    shift = 4 * (number % 4) + 16 * (k % 2)
    return (tl.load(line + own[None, :]) >> shift[None, :]) & 0xF


@triton.jit
def as_numbers(eight, line, code, like, number: tl.constexpr, SPAN: tl.constexpr,
               ASM: tl.constexpr, CODED: tl.constexpr):  # fmt: skip
    """Block `number` of a turn: of `eight`, or of the codes at `line`."""
    if ASM:
        weights = eight[number].to(like.dtype)
    elif CODED:
        weights = tl.load(code + _codes(line, number, SPAN)).to(like.dtype)
    else:
        weights = (_codes(line, number, SPAN) - 8).to(like.dtype)
    return weights


@triton.jit
def scaled_sum(product, total, scale, zero, sums, ZEROS: tl.constexpr):
    """Add a group's product to `total`."""
    if ZEROS:
        # Codes were counted from 8 on.
        product -= (tl.load(zero).to(tl.float32) - 8.0)[:, None] * sums[None, :]
    return total + product * tl.load(scale).to(tl.float32)[:, None]


@triton.jit
def _nibble_dot(
    inputs, packed, scales, zeros, code, out, parts, turns,
    rows, outputs, width, scale_stride,
    GROUP: tl.constexpr, GATED: tl.constexpr,
    ZEROS: tl.constexpr, CODED: tl.constexpr, ASM: tl.constexpr, ROWS: tl.constexpr,
    BLOCK_N: tl.constexpr, SPAN: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    output = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    row, span = tl.arange(0, ROWS), tl.arange(0, SPAN)
    # A row too many is read again in place of one that is not there, and not written.
    real = tl.minimum(output, outputs - 1)
    line = packed + real.to(tl.int64)[:, None] * (width // 8)
    up_line = line + outputs.to(tl.int64) * (width // 8)
    value_at = inputs + row[None, :] * width + span[:, None]
    live = (row < rows)[None, :]
    step: tl.constexpr = 8 * SPAN
    share = tl.cdiv(tl.cdiv(width, step), SPLIT) * step
    begin = tl.program_id(1) * share
    end = tl.minimum(begin + share, width)
    total = tl.zeros([BLOCK_N, ROWS], tl.float32)
    ups = tl.zeros([BLOCK_N, ROWS], tl.float32)
    for start in range(begin, end, step):
        eight, up_eight = 0, 0
        if ASM:
            words = tl.load(line + start // 8 + span[None, :])
            eight = words_as_numbers(words, inputs.dtype.element_ty, CODED)
            if GATED:
                words = tl.load(up_line + start // 8 + span[None, :])
                up_eight = words_as_numbers(words, inputs.dtype.element_ty, CODED)
        product = tl.zeros([BLOCK_N, ROWS], tl.float32)
        up = tl.zeros([BLOCK_N, ROWS], tl.float32)
        sums = tl.zeros([ROWS], tl.float32)
        for number in tl.static_range(8):
            value = tl.load(value_at + start + number * SPAN, mask=live, other=0.0)
            if ZEROS:
                sums += tl.sum(value.to(tl.float32), axis=0)
            w = as_numbers(eight, line + start // 8, code, value, number, SPAN, ASM, CODED)
            product = tl.dot(w, value, product, input_precision="ieee")
            if GATED:
                w = as_numbers(
                    up_eight, up_line + start // 8, code, value, number, SPAN, ASM, CODED
                )
                up = tl.dot(w, value, up, input_precision="ieee")
            if (number + 1) * SPAN % GROUP == 0:
                at = ((start + number * SPAN) // GROUP) * scale_stride + real
                total = scaled_sum(product, total, scales + at, zeros + at, sums, ZEROS)
                product = tl.zeros([BLOCK_N, ROWS], tl.float32)
                if GATED:
                    at += outputs
                    ups = scaled_sum(up, ups, scales + at, zeros + at, sums, ZEROS)
                    up = tl.zeros([BLOCK_N, ROWS], tl.float32)
                sums = tl.zeros([ROWS], tl.float32)
    if GATED:
        total = gate(total, ups)
    if SPLIT == 1:
        write(out, total, output, row, outputs, rows)
    else:
        at = tl.arange(0, BLOCK_N)[:, None] * ROWS + row[None, :]
        if is_last(parts, turns, total, at, SPLIT):
            write(out, sum_of(parts, turns, at, SPLIT), output, row, outputs, rows)


def nibble_dot(
    inputs: torch.Tensor,
    packed: torch.Tensor,
    scales: torch.Tensor,
    zeros: torch.Tensor | None,
    code: torch.Tensor | None,
    group: int,
    span: int,
    *,
    gated: bool = False,
    blocks: Blocks | None = None,
) -> torch.Tensor:
    """`inputs` [M, K] times 4-bit weights of N rows.

    Args:
        inputs: at most 64 rows.
        packed: int32 [N, K / 8], as `matrices.NibbleMatrix` has them.
        scales: [K / group, N].
        zeros: the code that stands for zero, [K / group, N]; None where it is 8 everywhere.
        code: the number that each of the 16 codes stands for; None where that is code - 8.
        group: weights with one scale.
        span: words in a turn.
        gated: the upper half of the rows is gate, the lower up: silu(gate) * up is returned.
        blocks: as `byte_dot.byte_dot` has them; the second number is not used.
    """
    rows, width = inputs.shape
    outputs = packed.shape[0] // (2 if gated else 1)
    out = inputs.new_empty(rows, outputs)
    most = most_rows(rows)
    if blocks is None:
        own = _blocks(outputs, width, most, gated)
        facts = (most, outputs, width, group, span, gated, zeros is not None, code is not None)
        blocks = blocks_for(
            _nibble_dot, facts, inputs, own,
            partial(dot_candidates, own, outputs, gated=gated),
            lambda cut: nibble_dot(
                inputs, packed, scales, zeros, code, group, span, gated=gated, blocks=cut
            ),
        )  # fmt: skip
    block_n, _, split, warps, stages = blocks
    if gated:
        split = 1  # the gate is not a sum
    # The table in PTX is as exact as 16 bits are.
    exact = code is not None and inputs.dtype == torch.float32
    asm = inputs.device.type == "cuda" and not exact
    programs = triton.cdiv(outputs, block_n)
    parts = turns = out
    if split > 1:
        parts = torch.empty(programs * split * block_n * most, device=inputs.device)
        turns = counters(inputs.device)
    launch(
        _nibble_dot, (programs, split),
        inputs, packed, scales, scales if zeros is None else zeros,
        scales if code is None else code, out, parts, turns,
        rows, outputs, width, scales.stride(0),
        group, gated,
        zeros is not None, code is not None, asm, most, block_n, span,
        split, blocks=(most, *blocks), num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


def _blocks(outputs: int, width: int, rows: int, gated: bool) -> Blocks:
    """The best of a dozen measured on an H100."""
    if rows <= 16:
        split = 1 if gated or outputs >= 12_288 else (4 if outputs <= 4_096 else 2)
        return 32, 0, split, 2, 3
    if gated:
        return 64, 0, 1, 4, 2
    return 64, 0, 1 if outputs >= 6_144 else (2 if width < 8_192 or rows > 32 else 4), 4, 3
