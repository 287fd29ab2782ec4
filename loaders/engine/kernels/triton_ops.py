# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""The small steps as Triton kernels: one pass over memory each, and attention over pages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from torch import nn

from ...weights.packed.matrices import Matrix, Packed
from ..model.experts import Experts
from ..model.layers import Layer
from ..model.torch_ops import Begun, DecodeView, Rotary, TorchOps
from ..state.sampler import Drawing
from . import sample_tokens
from .launch import launch
from .matvec import gated_matvec, matvec
from .moe.mixing import mixed_experts
from .packed_products import gated_product, mlp_in_fp8, product
from .paged_attention import paged_attention
from .tuning.choices import trials
from .vision_norms import add_layer_norm, rotate_pictures

if TYPE_CHECKING:
    from ..model.text_tower import TextModel
    from ..state.rows import Rows

# What transformers calls the tanh form of GELU, the only one that cuBLAS can append.
TANH_GELU = ("GELUTanh", "PytorchGELUTanh")


@triton.jit
def _add_norm(delta, hidden, weight, out, eps, width, HAS_DELTA: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * width
    at = tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(hidden + row + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_DELTA:
        value += tl.load(delta + row + at, mask=inside, other=0.0).to(tl.float32)
        rounded = value.to(hidden.dtype.element_ty)
        tl.store(hidden + row + at, rounded, mask=inside)
        value = rounded.to(tl.float32)
    scale = tl.rsqrt(tl.sum(value * value) / width + eps)
    normed = (value * scale).to(out.dtype.element_ty)
    tl.store(out + row + at, normed * tl.load(weight + at, mask=inside, other=0.0), mask=inside)


@triton.jit
def _rotate_and_store(
    qkv, query_norm, key_norm, cos, sin, targets, keys, values,
    eps, head_stride, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HALF: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    half = tl.arange(0, HALF)[None, :]
    is_query, is_value = head < HEADS, head >= HEADS + KV_HEADS
    exists = (head < HEADS + 2 * KV_HEADS)[:, None]
    base = qkv + (token * (HEADS + 2 * KV_HEADS) + head[:, None]) * (2 * HALF) + half
    first = tl.load(base, mask=exists, other=0.0).to(tl.float32)
    second = tl.load(base + HALF, mask=exists, other=0.0).to(tl.float32)
    squares = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
    scale = tl.rsqrt(squares / (2 * HALF) + eps)[:, None]
    dtype = qkv.dtype.element_ty
    weight1 = tl.where(is_query[:, None], tl.load(query_norm + half), tl.load(key_norm + half)).to(
        tl.float32
    )
    weight2 = tl.where(
        is_query[:, None], tl.load(query_norm + HALF + half), tl.load(key_norm + HALF + half)
    ).to(tl.float32)
    normed1 = ((first * scale).to(dtype).to(tl.float32) * weight1).to(dtype).to(tl.float32)
    normed2 = ((second * scale).to(dtype).to(tl.float32) * weight2).to(dtype).to(tl.float32)
    c = tl.load(cos + token * HALF + half).to(tl.float32)
    s = tl.load(sin + token * HALF + half).to(tl.float32)
    out1 = tl.where(is_value[:, None], first, normed1 * c - normed2 * s).to(dtype)
    out2 = tl.where(is_value[:, None], second, normed2 * c + normed1 * s).to(dtype)
    turned = exists & (head < HEADS + KV_HEADS)[:, None]
    tl.store(base, out1, mask=turned)
    tl.store(base + HALF, out2, mask=turned)
    kv_head = tl.where(is_value, head - HEADS - KV_HEADS, head - HEADS)
    place = kv_head[:, None].to(tl.int64) * head_stride + tl.load(targets + token) * 2 * HALF + half
    is_key = turned & (head >= HEADS)[:, None]
    tl.store(keys + place, out1, mask=is_key)
    tl.store(keys + place + HALF, out2, mask=is_key)
    to_values = exists & is_value[:, None]
    tl.store(values + place, out1, mask=to_values)
    tl.store(values + place + HALF, out2, mask=to_values)


@triton.jit
def _gated(gate_up, out, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    gate = tl.load(gate_up + row * 2 * width + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * width + width + at, mask=inside, other=0.0)
    soft = (gate / (1.0 + tl.exp(-gate))).to(out.dtype.element_ty)
    tl.store(out + row * width + at, soft * up, mask=inside)


class TritonOps(TorchOps):
    """`TorchOps` on one NVIDIA GPU; head size of the language model a power of two."""

    narrow_rows = (1, 2, 4)
    needs_page_count = False
    experts_on_device = True

    def trials(
        self, device: torch.device, tick: Callable[[], None]
    ) -> AbstractContextManager[bool]:
        """See `TorchOps.trials`."""
        return trials(device, tick)

    def begin(self, text: TextModel, rows: Rows, batch: int, page_tokens: int) -> Begun:
        """See `TorchOps.begin`."""
        return sample_tokens.begin(text, rows, batch, page_tokens)

    def choose(self, rows: Rows, logits: torch.Tensor, drawing: Drawing) -> torch.Tensor:
        """See `TorchOps.choose`."""
        if drawing == "all":  # the kernel's one block holds the candidates, not a vocabulary
            return super().choose(rows, logits, drawing)
        return sample_tokens.choose(rows, logits, drawing)

    def advance(self, rows: Rows, tokens: torch.Tensor) -> None:
        """See `TorchOps.advance`."""
        sample_tokens.advance(rows, tokens)

    def add_norm(
        self,
        delta: torch.Tensor | None,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        """See `TorchOps.add_norm`."""
        rows, width = hidden.shape
        out = torch.empty_like(hidden)
        block = triton.next_power_of_2(width)
        launch(
            _add_norm, (rows,),
            delta, hidden, weight, out, eps, width, delta is not None, block,
            num_warps=8 if block > 2048 else 4,
        )  # fmt: skip
        return out

    def packed_linear(self, inputs: torch.Tensor, matrix: Packed) -> torch.Tensor:
        """See `TorchOps.packed_linear`; the weights of few rows are read as they are."""
        return product(inputs, matrix)

    def gated_linear(self, inputs: torch.Tensor, gate_up: tuple[Matrix, ...]) -> torch.Tensor:
        """See `TorchOps.gated_linear`."""
        if len(gate_up) == 1 and not isinstance(gate_up[0], torch.Tensor):
            made = gated_product(inputs, gate_up[0])
            if made is not None:
                return made
        return super().gated_linear(inputs, gate_up)

    def mlp(self, inputs: torch.Tensor, gate_up: tuple[Matrix, ...], down: Matrix) -> torch.Tensor:
        """See `TorchOps.mlp`."""
        packed = not isinstance(gate_up[0], torch.Tensor) and not isinstance(down, torch.Tensor)
        if packed and len(gate_up) == 1:
            made = mlp_in_fp8(inputs, gate_up[0], down)  # type: ignore[arg-type]
            if made is not None:
                return made
        return super().mlp(inputs, gate_up, down)

    def mixed_experts(self, inputs: torch.Tensor, experts: Experts) -> torch.Tensor:
        """See `TorchOps.mixed_experts`."""
        return mixed_experts(inputs, experts, self.gated)

    def rotate_and_store(
        self,
        qkv: torch.Tensor,
        layer: Layer,
        eps: float,
        rotary: Rotary,
        keys: torch.Tensor,
        values: torch.Tensor,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `TorchOps.rotate_and_store`; queries and keys are changed in place."""
        kv_heads, places, size = keys.shape
        packed = qkv.view(qkv.shape[0], -1, size)
        every = packed.shape[1]
        heads = every - 2 * kv_heads
        # Few tokens: more programs. Many: fewer, larger ones.
        block = 8 if len(qkv) <= 64 else triton.next_power_of_2(every)
        launch(
            _rotate_and_store, (len(qkv), triton.cdiv(every, block)),
            qkv, layer.q_norm, layer.k_norm, *rotary, targets, keys, values, eps,
            places * size, heads, kv_heads, size // 2, block, num_warps=1 if block == 8 else 4,
        )  # fmt: skip
        return tuple(packed.split((heads, kv_heads, kv_heads), dim=1))  # type: ignore[return-value]

    def gated(self, gate_up: torch.Tensor) -> torch.Tensor:
        """See `TorchOps.gated`."""
        rows, width = gate_up.shape[0], gate_up.shape[1] // 2
        out = gate_up.new_empty(rows, width)
        launch(_gated, (rows, triton.cdiv(width, 1024)), gate_up, out, width, 1024)
        return out

    def add_layer_norm(
        self, delta: torch.Tensor | None, hidden: torch.Tensor, norm: nn.LayerNorm
    ) -> torch.Tensor:
        """See `TorchOps.add_layer_norm`."""
        return add_layer_norm(delta, hidden, norm)

    def vision_mlp(self, mlp: Any, normed: torch.Tensor) -> torch.Tensor:
        """See `TorchOps.vision_mlp`; the activation is part of the first product."""
        if type(mlp.act_fn).__name__ not in TANH_GELU or normed.dtype == torch.float32:
            return mlp(normed)
        first = mlp.linear_fc1
        wide = torch.ops.aten._addmm_activation(first.bias, normed, first.weight.T, use_gelu=True)
        return mlp.linear_fc2(wide)

    def rotate_vision(self, qkv: torch.Tensor, heads: int, rotary: Rotary) -> torch.Tensor:
        """See `TorchOps.rotate_vision`; in place."""
        return rotate_pictures(qkv, heads, *rotary)

    def decode_attention(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        view: DecodeView,
    ) -> torch.Tensor:
        """See `TorchOps.decode_attention`; pages are read where they lie."""
        return paged_attention(queries, keys, values, view)

    def norm_linear(
        self, hidden: torch.Tensor, norm: torch.Tensor, eps: float, weight: torch.Tensor
    ) -> torch.Tensor:
        """Matrix times the RMS norm of a few rows."""
        return matvec(hidden, weight, norm=norm, eps=eps)

    def linear_add(self, inputs: torch.Tensor, weight: torch.Tensor, hidden: torch.Tensor) -> None:
        """Add matrix times a few rows to `hidden`."""
        matvec(inputs, weight, add_to=hidden)

    def norm_gated(
        self, hidden: torch.Tensor, norm: torch.Tensor, eps: float, gate_up: torch.Tensor
    ) -> torch.Tensor:
        """silu(gate) * up of the RMS norm of a few rows."""
        return gated_matvec(hidden, gate_up, norm, eps)
