"""The small steps between matrix products, in plain PyTorch: any device, any dtype.

`triton_ops.TritonOps` has the same methods with fewer passes over memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from ...weights.packed.matrices import Matrix, Packed, facing
from ..state.rows import Field, sampling_rows
from ..state.sampler import Drawing, choose_tokens
from .experts import Experts, mixed

if TYPE_CHECKING:
    from ..state.pool import PagePool
    from ..state.rows import Rows
    from .layers import Layer
    from .text_tower import TextModel

Rotary = tuple[torch.Tensor, torch.Tensor]  # cos and sin, each [T, head_dim / 2]


@dataclass(frozen=True, slots=True)
class Begun:
    """Embedded tokens [B, C], their rotation, places in the pool [B], cached tokens with them."""

    hidden: torch.Tensor
    rotary: Rotary
    targets: torch.Tensor
    lengths: torch.Tensor


class TorchOps:
    """Stateless; `narrow_rows` are the counts its fused matrix-vector steps take (none)."""

    narrow_rows: tuple[int, ...] = ()
    # Whether decode attention needs to be told how many pages the longest row has.
    needs_page_count = True
    # Whether experts are chosen without the host, so that a step can be captured as a graph.
    experts_on_device = False

    def trials(
        self, device: torch.device, tick: Callable[[], None]
    ) -> AbstractContextManager[bool]:
        """A step on `device` in whose course products may try what is quickest on its card, which
        takes seconds, `tick` being called in between; says whether any would (none).
        """
        return nullcontext(False)

    def begin(self, text: TextModel, rows: Rows, batch: int, page_tokens: int) -> Begun:
        """What a decode step of the first `batch` rows starts from."""
        ints = rows.ints[:batch]
        length = ints[:, Field.LENGTH]
        page = rows.table[:batch].gather(1, (length // page_tokens)[:, None])[:, 0]
        return Begun(
            hidden=text.embed(ints[:, Field.TOKEN]),
            rotary=text.rotary(length + ints[:, Field.SHIFT]),
            targets=page * page_tokens + length % page_tokens,
            lengths=length + 1,
        )

    def choose(self, rows: Rows, logits: torch.Tensor, drawing: Drawing) -> torch.Tensor:
        """Draw the next token of the first rows from `logits` [B, V]; see `choose_tokens`."""
        batch = logits.shape[0]
        ints, seen = rows.ints[:batch], rows.seen[:batch]
        settings = sampling_rows(ints, rows.floats[:batch])
        return choose_tokens(logits, seen, settings, ints[:, Field.STEP], drawing)

    def advance(self, rows: Rows, tokens: torch.Tensor) -> None:
        """Write the drawn tokens [B] into the first rows and step them on."""
        ints = rows.ints[: len(tokens)]
        ints[:, Field.TOKEN] = tokens
        ints[:, Field.LENGTH] += ints[:, Field.ACTIVE]
        ints[:, Field.STEP] += ints[:, Field.ACTIVE]
        rows.seen[: len(tokens)].scatter_(1, tokens[:, None], True)

    def add_norm(
        self,
        delta: torch.Tensor | None,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        eps: float,
    ) -> torch.Tensor:
        """Add `delta` to `hidden` [T, C] in place, and return the RMS norm of the sum."""
        if delta is not None:
            hidden += delta
        return functional.rms_norm(hidden, weight.shape, weight, eps)

    def linear(self, inputs: torch.Tensor, parts: tuple[Matrix, ...]) -> torch.Tensor:
        """`inputs` [T, C] times each matrix of `parts`, side by side."""
        outputs = [
            functional.linear(inputs, part)
            if isinstance(part, torch.Tensor)
            else self.packed_linear(inputs, part)
            for part in parts
        ]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)

    def packed_linear(self, inputs: torch.Tensor, matrix: Packed) -> torch.Tensor:
        """`inputs` [T, C] times a packed matrix."""
        inputs, matrix = facing(inputs, matrix)
        return functional.linear(inputs, matrix.dequantized(inputs.dtype))

    def gated_linear(self, inputs: torch.Tensor, gate_up: tuple[Matrix, ...]) -> torch.Tensor:
        """silu(gate) * up of `inputs` [T, C] times the matrices of `gate_up`."""
        return self.gated(self.linear(inputs, gate_up))

    def mlp(self, inputs: torch.Tensor, gate_up: tuple[Matrix, ...], down: Matrix) -> torch.Tensor:
        """The gated MLP of `inputs` [T, C]."""
        return self.linear(self.gated_linear(inputs, gate_up), (down,))

    def mixed_experts(self, inputs: torch.Tensor, experts: Experts) -> torch.Tensor:
        """`inputs` [T, C] through the experts that each row takes."""
        return mixed(inputs, experts)

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
        """Norm and rotate queries and keys of `qkv` [T, (heads + 2 kv_heads) * D], and write
        keys and values to the token places `targets` [T] of `keys`, `values` [kv_heads, ., D].

        Returns:
            queries [T, heads, D], keys and values [T, kv_heads, D].
        """
        kv_heads, _, size = keys.shape
        packed = qkv.view(qkv.shape[0], -1, size)
        queries, own_keys, own_values = packed.split(
            (packed.shape[1] - 2 * kv_heads, kv_heads, kv_heads), dim=1
        )
        queries = _rotated(functional.rms_norm(queries, (size,), layer.q_norm, eps), rotary)
        own_keys = _rotated(functional.rms_norm(own_keys, (size,), layer.k_norm, eps), rotary)
        write_at(keys, 1, targets, own_keys.transpose(0, 1))
        write_at(values, 1, targets, own_values.transpose(0, 1))
        return queries, own_keys, own_values

    def gated(self, gate_up: torch.Tensor) -> torch.Tensor:
        """silu(gate) * up of [T, 2 * I], gate first."""
        gate, up = gate_up.chunk(2, dim=-1)
        return functional.silu(gate) * up

    def add_layer_norm(
        self, delta: torch.Tensor | None, hidden: torch.Tensor, norm: nn.LayerNorm
    ) -> torch.Tensor:
        """Add `delta` to `hidden` [N, C] in place, and return the layer norm of the sum."""
        if delta is not None:
            hidden += delta
        return norm(hidden)

    def vision_mlp(self, mlp: nn.Module, normed: torch.Tensor) -> torch.Tensor:
        """The block's own two layers."""
        return mlp(normed)

    def rotate_vision(self, qkv: torch.Tensor, heads: int, rotary: Rotary) -> torch.Tensor:
        """Rotate queries and keys of a vision block's `qkv` [N, 3 * C]; [N, 3, heads, D]."""
        packed = qkv.view(qkv.shape[0], 3, heads, -1)
        turned = _rotated(packed[:, :2].flatten(1, 2).float(), rotary).to(qkv.dtype)
        return torch.cat((turned.view(-1, 2, *packed.shape[2:]), packed[:, 2:]), dim=1)

    def decode_attention(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        view: DecodeView,
    ) -> torch.Tensor:
        """One query a row over the row's own pages; [B, heads, D] to [B, heads * D].

        The query group of a KV head stands in the place of query positions, so each KV head is
        read once.
        """
        batch, heads, size = queries.shape
        kv_heads = keys.shape[0]
        group = heads // kv_heads
        grouped, mask = queries.view(batch, kv_heads, group, size), view.mask
        shared = len(view.table) < batch
        if shared and mask is not None:  # all queries of a KV head are one group
            grouped = grouped.transpose(0, 1).reshape(1, kv_heads, batch * group, size)
            mask = mask.repeat_interleave(group, dim=0).view(1, 1, batch * group, -1)
        mixed = functional.scaled_dot_product_attention(
            grouped, view.gather(keys), view.gather(values), attn_mask=mask
        )
        if shared:
            mixed = mixed.view(kv_heads, batch, group, size).transpose(0, 1)
        return mixed.reshape(batch, heads * size)


class DecodeView:
    """Which cached tokens each row of a decode step attends to; made once a step.

    Args:
        pool: where keys and values are.
        table: int64 [B, columns], each row's pages in order; or [1, columns], the pages of all.
        lengths: int64 [B], cached tokens of each row, the one being read included.
        pages: how many columns of the table matter; None where the kernel finds out by itself.
    """

    def __init__(
        self, pool: PagePool, table: torch.Tensor, lengths: torch.Tensor, pages: int | None
    ):
        self.page_tokens = pool.page_tokens
        self.table, self.lengths = table, lengths
        self.mask: torch.Tensor | None = None
        if pages is not None:
            self.table = table[:, :pages]
            places = torch.arange(pages * pool.page_tokens, device=table.device)
            self.mask = (places < lengths[:, None])[:, None, None, :]

    def gather(self, buffer: torch.Tensor) -> torch.Tensor:
        """The rows' tokens of `buffer` [kv_heads, tokens, D], as [B, kv_heads, L, D]."""
        heads, _, size = buffer.shape
        batch, pages = self.table.shape
        paged = buffer.view(heads, -1, self.page_tokens * size)
        rows = paged.index_select(1, self.table.reshape(-1))
        return rows.view(heads, batch, pages * self.page_tokens, size).transpose(0, 1)


def write_at(buffer: torch.Tensor, dim: int, places: torch.Tensor, values: torch.Tensor) -> None:
    """Write `values` to the int64 `places` [n] of a dimension."""
    try:
        buffer.index_copy_(dim, places, values)
    except NotImplementedError:  # Apple's GPUs before torch 2.8
        buffer[(slice(None),) * dim + (places,)] = values


def _rotated(heads: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Rotary embedding of [T, heads, D]: the halves of D are the pairs."""
    cos, sin = rotary[0].unsqueeze(1), rotary[1].unsqueeze(1)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
