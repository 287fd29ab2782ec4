"""A linear layer that keeps its weight packed; the fast engine reads it as it is."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from .matrices import ByteMatrix, NibbleMatrix, Packed, facing, joined


class PackedLinear(nn.Module):
    """`nn.Linear` without a bias on a `Packed` matrix, moved and counted like any module.

    Called as a module it makes a plain weight each time, which is right everywhere and slow.
    """

    def __init__(self, matrix: Packed):
        super().__init__()
        self.out_features, self.in_features = matrix.shape
        self.take(matrix)

    def take(self, matrix: Packed) -> None:
        """Hold this matrix from now on."""
        # Outside of inference mode, or the module could never be moved again.
        with torch.inference_mode(False), torch.no_grad():
            if isinstance(matrix, ByteMatrix):
                self._block, self._rotated = matrix.block, matrix.rotated
                tensors = {"weight": matrix.weight, "scales": matrix.scales}
            else:
                self._block, self._rotated = (matrix.group, matrix.span), 0
                tensors = {"weight": matrix.packed, "scales": matrix.scales}
                tensors |= {"zeros": matrix.zeros, "code": matrix.code}
            for name in ("weight", "scales", "zeros", "code"):
                held = tensors.get(name)
                kept = None if held is None else nn.Parameter(held, requires_grad=False)
                self.register_parameter(name, kept)

    @property
    def matrix(self) -> Packed:
        """What is held now, wherever it lies."""
        weight, scales = self.weight.detach(), self.scales.detach()
        if weight.dtype != torch.int32:
            return ByteMatrix(weight, scales, self._block, self._rotated)
        zeros = None if self.zeros is None else self.zeros.detach()
        code = None if self.code is None else self.code.detach()
        return NibbleMatrix(weight, scales, zeros, code, *self._block)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """`inputs` [.., K] to [.., N]."""
        inputs, matrix = facing(inputs, self.matrix)
        return functional.linear(inputs, matrix.dequantized(inputs.dtype))

    def extra_repr(self) -> str:
        """For people who print the module."""
        kind = type(self.matrix).__name__
        turned = f", rotated by {self._rotated}" if self._rotated else ""
        return f"{self.in_features}, {self.out_features}, {kind}, {self.weight.dtype}{turned}"


class PackedEmbedding(PackedLinear):
    """`nn.Embedding` on a table of 8-bit rows, which come out as `dtype`."""

    def __init__(self, table: Packed, dtype: torch.dtype):
        super().__init__(table)
        self.dtype = dtype

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Ids [..] to [.., K]."""
        weight, scales = self.weight.detach(), self.scales.detach()
        table = ByteMatrix(weight, scales, self._block, self._rotated)
        rows = table.rows(inputs.flatten()).dequantized(self.dtype)
        return rows.view(*inputs.shape, -1)


def join(parts: list[PackedLinear]) -> Packed | None:
    """The parts' weights as one matrix, of which each part holds a view from then on; None when
    they are of different kinds.
    """
    if (whole := _adjacent(parts)) is not None:
        return whole
    with torch.inference_mode(False), torch.no_grad():
        whole = joined([part.matrix for part in parts])
        if whole is None:
            return None
        first = 0
        for part in parts:
            part.take(rows_of(whole, first, part.out_features))
            first += part.out_features
    return whole


def rows_of(matrix: Packed, first: int, count: int) -> Packed:
    """A view of `count` rows from `first` on, which begins with a block."""
    rows = slice(first, first + count)
    if isinstance(matrix, ByteMatrix):
        height = matrix.block[0]
        blocks = slice(first // height, -(-(first + count) // height))
        return replace(matrix, weight=matrix.weight[rows], scales=matrix.scales[blocks])
    zeros = None if matrix.zeros is None else matrix.zeros[:, rows]
    own = (matrix.packed[rows], matrix.scales[:, rows], zeros, matrix.code)
    return NibbleMatrix(*own, matrix.group, matrix.span)


def _adjacent(parts: list[PackedLinear]) -> Packed | None:
    """The whole of which the parts are views already, or None."""
    first, offset = parts[0].weight, parts[0].weight.storage_offset()
    for part in parts:
        weight = part.weight
        same = weight.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        alike = (part._block, part._rotated) == (parts[0]._block, parts[0]._rotated)
        if not same or weight.storage_offset() != offset or not alike:
            return None
        offset += weight.numel()
    rows = sum(part.out_features for part in parts)
    whole = parts[0].matrix

    def wide(tensor: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return tensor.as_strided(size, tensor.stride(), tensor.storage_offset())

    if isinstance(whole, ByteMatrix):
        weight = wide(whole.weight, (rows, whole.shape[1]))
        scales = wide(whole.scales, (-(-rows // whole.block[0]), whole.scales.shape[1]))
        return replace(whole, weight=weight, scales=scales)
    packed = wide(whole.packed, (rows, whole.packed.shape[1]))
    size = (whole.scales.shape[0], rows)
    zeros = None if whole.zeros is None else wide(whole.zeros, size)
    own = (packed, wide(whole.scales, size), zeros, whole.code)
    return NibbleMatrix(*own, whole.group, whole.span)
