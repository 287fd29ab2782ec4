"""Puts layers that keep FP8 weights in place of those that are stored so, still empty."""

from __future__ import annotations

from typing import Any

import torch

from ...checkpoint.fp8_blocks import WHOLE, fp8_experts
from ...checkpoint.inspection import Checkpoint
from ...checkpoint.tensor_names import FP8_DTYPE, scale_name
from .matrices import ByteMatrix
from .packed_experts import PackedExperts, experts_in
from .packed_linear import PackedLinear
from .packing import inner_linears, replace_part


def keep_fp8(module: Any, checkpoint: Checkpoint) -> None:
    """Make an empty module one that keeps FP8: its decoder's linear layers, and its experts where
    all of a layer's are stored so. What is not stays plain.
    """
    block = checkpoint.quantization.block if checkpoint.quantization else WHOLE
    for name, _ in list(inner_linears(module)):
        stored = checkpoint.tensors.get(f"{name}.weight")
        scales = checkpoint.tensors.get(scale_name(f"{name}.weight"))
        if stored is None or scales is None or stored.dtype != FP8_DTYPE:
            continue
        rows, columns = stored.shape
        own = (min(block[0], rows), min(block[1], columns))
        replace_part(module, name, PackedLinear(_empty((rows, columns), own)))
    text = checkpoint.architecture.text
    for name, _ in list(experts_in(module)):
        stacks = fp8_experts(name, text, checkpoint.tensors, block)
        if stacks is not None:
            gate_up, down = (_empty(stack.shape, stack.block) for stack in stacks)
            replace_part(module, name, PackedExperts(gate_up, down, text.experts))


def _empty(shape: tuple[int, int], block: tuple[int, int]) -> ByteMatrix:
    weight = torch.empty(shape, dtype=torch.float8_e4m3fn, device="meta")
    blocks = [-(-size // side) for size, side in zip(shape, block, strict=True)]
    return ByteMatrix(weight, torch.empty(blocks, device="meta"), block)
