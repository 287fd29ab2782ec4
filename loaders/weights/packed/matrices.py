"""Weights that stay packed in memory: 8-bit ones with a scale a block, 4-bit ones with groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .rotation import rotated

# Weights that one turn of the 4-bit kernel takes of a row, the largest that divides it.
TURNS = (512, 256, 128)


# The sixteen numbers of bitsandbytes' NF4, in the order of their codes.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ByteMatrix:
    """8-bit weights [N, K] times one scale for each block.

    `weight` is float8_e4m3fn or int8, `scales` fp32 [ceil(N / height), ceil(K / width)] with
    `block` (height, width). The last blocks may be smaller.

    With `rotated`, they stand for weights whose groups of so many inputs were multiplied with a
    Hadamard matrix before they were stored; see `facing`.
    """

    weight: torch.Tensor
    scales: torch.Tensor
    block: tuple[int, int]
    rotated: int = 0

    def __post_init__(self) -> None:
        wanted = tuple(
            -(-size // side) for size, side in zip(self.weight.shape, self.block, strict=True)
        )
        if tuple(self.scales.shape) != wanted:
            raise ValueError(f"scales {list(self.scales.shape)}, wanted {list(wanted)}")
        if self.rotated and self.weight.shape[1] % self.rotated:
            raise ValueError(f"{self.weight.shape[1]} inputs in groups of {self.rotated}")

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""
        return self.weight.shape[0], self.weight.shape[1]

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.weight.device

    def dequantized(self, dtype: torch.dtype) -> torch.Tensor:
        """[N, K], rounded once, from fp32."""
        rows, columns = self.shape
        full = self.scales.repeat_interleave(self.block[0], 0)[:rows]
        full = full.repeat_interleave(min(self.block[1], columns), 1)[:, :columns]
        plain = self.weight.float() * full
        return (rotated(plain, self.rotated) if self.rotated else plain).to(dtype)

    def rows(self, at: torch.Tensor) -> ByteMatrix:
        """The rows `at` [n] alone."""
        scales = self.scales[at // self.block[0]]
        return ByteMatrix(self.weight[at], scales, (1, self.block[1]), self.rotated)

    def by_rows(self) -> ByteMatrix:
        """The same with blocks of one row."""
        scales = self.scales.repeat_interleave(self.block[0], 0)[: self.shape[0]]
        return replace(self, scales=scales.contiguous(), block=(1, self.block[1]))


@dataclass(frozen=True, slots=True)
class NibbleMatrix:
    """4-bit weights of `shape` [N, K]; K is a multiple of 128 and of `group`.

    Code c in a group with scale s and zero z stands for (c - z) * s, or for code[c] * s.

    `packed` is int32 [N, K / 8]. A row is cut into turns of 8 * `span` weights, and a turn into
    eight blocks of `span`. The words 2 t and 2 t + 1 of a turn hold weights 2 t and 2 t + 1 of
    each block: those of block b in word 2 t + b // 4, at bit 4 * (b % 4) the even weight and 16
    bits above it the odd one. So a shift and a mask give pairs of neighbours.

    `scales` and `zeros` are [K / group, N]; without `zeros`, 8 stands for zero.
    """

    packed: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor | None
    code: torch.Tensor | None
    group: int
    span: int

    def __post_init__(self) -> None:
        rows, columns = self.shape
        if tuple(self.scales.shape) != (columns // self.group, rows):
            raise ValueError(f"scales {list(self.scales.shape)} for {[rows, columns]}")
        if columns % (8 * self.span) or self.group % self.span:
            raise ValueError(f"{columns} weights, group {self.group}, span {self.span}")

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""
        return self.packed.shape[0], self.packed.shape[1] * 8

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.packed.device

    def codes(self) -> torch.Tensor:
        """The 4-bit codes as uint8 [N, K]."""
        rows, columns = self.shape
        # [N, turn, pair, word of the pair, odd or even, shift] -> [.., block, weight]
        words = self.packed.view(rows, -1, self.span // 2, 2, 1, 1)
        shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=self.device).view(2, 4)
        nibbles = ((words >> shifts) & 15).to(torch.uint8)
        return nibbles.permute(0, 1, 3, 5, 2, 4).reshape(rows, columns)

    def dequantized(self, dtype: torch.dtype) -> torch.Tensor:
        """[N, K], rounded once, from fp32."""
        codes = self.codes()
        scales = self.scales.float().T.repeat_interleave(self.group, 1)
        if self.code is not None:
            return (self.code.float()[codes.int()] * scales).to(dtype)
        zeros: torch.Tensor | float = 8.0
        if self.zeros is not None:
            zeros = self.zeros.float().T.repeat_interleave(self.group, 1)
        return ((codes.float() - zeros) * scales).to(dtype)


Packed = ByteMatrix | NibbleMatrix
Matrix = torch.Tensor | ByteMatrix | NibbleMatrix


def facing(inputs: torch.Tensor, matrix: Packed) -> tuple[torch.Tensor, Packed]:
    """`inputs` [.., K] and the matrix as they are multiplied: where its weights are rotated, they
    stay so and the inputs are rotated too, which are fewer.
    """
    if isinstance(matrix, ByteMatrix) and matrix.rotated:
        return rotated(inputs, matrix.rotated), replace(matrix, rotated=0)
    return inputs, matrix


def pack_codes(codes: torch.Tensor, group: int) -> tuple[torch.Tensor, int]:
    """Codes uint8 [N, K] as `NibbleMatrix` keeps them: (packed, span).

    Raises:
        ValueError: K is no multiple of 128, or the group does not fit.
    """
    rows, columns = codes.shape
    turns = [turn for turn in TURNS if columns % turn == 0 and group % (turn // 8) == 0]
    if not turns or columns % group:
        raise ValueError(f"rows of {columns} weights in groups of {group}")
    span = turns[0] // 8
    # [N, turn, word of the pair, shift, pair, odd or even], the odd one 16 bits higher.
    parts = codes.view(rows, -1, 2, 4, span // 2, 2).permute(0, 1, 4, 2, 5, 3).int()
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=codes.device).view(2, 4)
    # Bits of a sum do not overlap, so adding is joining; int32 wraps as the bits should.
    words = (parts << shifts).sum((-2, -1), dtype=torch.int32)
    return words.reshape(rows, columns // 8).contiguous(), span


def joined(parts: Sequence[Packed]) -> Packed | None:
    """The matrices one above the other as one, or None when they are of different kinds."""
    if all(isinstance(part, ByteMatrix) for part in parts):
        return _joined_bytes([part for part in parts if isinstance(part, ByteMatrix)])
    if all(isinstance(part, NibbleMatrix) for part in parts):
        return _joined_nibbles([part for part in parts if isinstance(part, NibbleMatrix)])
    return None


def _joined_bytes(parts: list[ByteMatrix]) -> ByteMatrix | None:
    first = parts[0]
    kinds = {(part.weight.dtype, part.block[1], part.rotated) for part in parts}
    if len(kinds) > 1:
        return None
    # Where a part ends within a block, the next one's first row would get its scale.
    if any(p.block != first.block or p.shape[0] % p.block[0] for p in parts):
        parts = [part.by_rows() for part in parts]
    weight = torch.cat([part.weight.view(torch.uint8) for part in parts])
    scales = torch.cat([part.scales for part in parts])
    weight = weight.view(first.weight.dtype)
    return ByteMatrix(weight, scales, parts[0].block, first.rotated)


def _joined_nibbles(parts: list[NibbleMatrix]) -> NibbleMatrix | None:
    first = parts[0]
    if any((p.group, p.span) != (first.group, first.span) for p in parts):
        return None
    if any((p.zeros is None) != (first.zeros is None) for p in parts):
        return None
    if any((p.code is None) != (first.code is None) for p in parts):
        return None
    if first.code is not None and not all(torch.equal(p.code, first.code) for p in parts):  # type: ignore[arg-type]
        return None
    zeros = [part.zeros for part in parts if part.zeros is not None]
    return replace(
        first,
        packed=torch.cat([part.packed for part in parts]),
        scales=torch.cat([part.scales for part in parts], dim=1),
        zeros=torch.cat(zeros, dim=1) if zeros else None,
    )
