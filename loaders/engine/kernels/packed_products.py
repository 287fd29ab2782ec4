"""Which kernel multiplies with packed weights, by kind of weight and number of rows."""

from __future__ import annotations

import torch
from torch.nn import functional

from ...weights.packed.matrices import ByteMatrix, NibbleMatrix, Packed, facing
from .byte_dot import byte_dot
from .dequantize import dequantize
from .fp8_product import BLOCK, fp8_product, fp8_product_works, quantize, scaled
from .nibble_dot import nibble_dot

# Most rows of a product that reads the weights as they are. Above, FP8 is multiplied as FP8 or,
# like everything else, made plain once for all rows.
FEW_ROWS = 64


def product(inputs: torch.Tensor, matrix: Packed) -> torch.Tensor:
    """`inputs` [M, K] times `matrix` [N, K]."""
    inputs, matrix = facing(inputs, matrix)
    as_fp8 = _as_fp8(inputs, matrix)
    if takes(inputs, matrix) and not (as_fp8 and _quicker_in_fp8(inputs, matrix)):
        return _few(inputs, matrix)
    if as_fp8 and isinstance(matrix, ByteMatrix):
        return fp8_product(inputs, matrix.weight, matrix.scales)
    return functional.linear(inputs, dequantize(matrix, inputs.dtype))


def gated_product(inputs: torch.Tensor, matrix: Packed) -> torch.Tensor | None:
    """silu(gate) * up of `inputs` [M, K] times `matrix` [2 N, K], gate first; None where no
    kernel does it at once.
    """
    if _as_fp8(inputs, matrix) and _quicker_in_fp8(inputs, matrix):
        return None
    # Two matrices at once, and so many rows of both, do not fit beside one another.
    if isinstance(matrix, NibbleMatrix) and len(inputs) > 32:
        return None
    return _few(*facing(inputs, matrix), gated=True) if takes(inputs, matrix) else None


def mlp_in_fp8(inputs: torch.Tensor, gate_up: Packed, down: Packed) -> torch.Tensor | None:
    """A whole gated MLP of many rows, whose middle is only ever written as FP8; None where its
    weights are not multiplied so.
    """
    if not isinstance(gate_up, ByteMatrix) or not isinstance(down, ByteMatrix):
        return None
    if len(inputs) <= FEW_ROWS or not (_as_fp8(inputs, gate_up) and _as_fp8(inputs, down)):
        return None
    middle, scales = quantize(fp8_product(inputs, gate_up.weight, gate_up.scales), gated=True)
    return scaled(middle, scales, down.weight, down.scales, inputs)


def takes(inputs: torch.Tensor, matrix: Packed) -> bool:
    """Whether the kernels for few rows multiply these. In fp32 nothing is gained, and compiling
    takes long.
    """
    if len(inputs) > FEW_ROWS or inputs.dtype == torch.float32:
        return False
    return isinstance(matrix, NibbleMatrix) or wide_blocks(matrix)


def wide_blocks(matrix: ByteMatrix) -> bool:
    """Whether what a kernel reads of a row in one turn has one scale."""
    width = matrix.block[1]
    return width >= matrix.shape[1] or width % BLOCK == 0


def _few(inputs: torch.Tensor, matrix: Packed, gated: bool = False) -> torch.Tensor:
    if isinstance(matrix, ByteMatrix):
        return byte_dot(inputs, matrix.weight, matrix.scales, matrix.block, gated=gated)
    return nibble_dot(
        inputs, matrix.packed, matrix.scales, matrix.zeros, matrix.code, matrix.group,
        matrix.span, gated=gated,
    )  # fmt: skip


def _quicker_in_fp8(inputs: torch.Tensor, matrix: Packed) -> bool:
    """Whether so many rows are multiplied quicker as FP8, measured on an H100: a wide matrix from
    17 on.
    """
    return len(inputs) > FEW_ROWS or (len(inputs) > 16 and matrix.shape[0] >= 6_144)


def _as_fp8(inputs: torch.Tensor, matrix: Packed) -> bool:
    """Whether inputs and matrix can be multiplied as FP8."""
    if not isinstance(matrix, ByteMatrix):
        return False
    # cuBLAS reads a row's scales in fours.
    whole = matrix.shape[0] % BLOCK == 0 and matrix.shape[1] % (4 * BLOCK) == 0
    return (
        matrix.weight.dtype == torch.float8_e4m3fn
        and matrix.block == (BLOCK, BLOCK)
        and whole
        and not matrix.rotated
        and matrix.scales.is_contiguous()
        and fp8_product_works(inputs.device, inputs.dtype)
    )
