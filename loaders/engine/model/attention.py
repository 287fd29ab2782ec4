"""Causal attention of prompts packed one behind the other, each with its own cached beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ..state.pool import PagePool
from ..state.transfer import upload


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one prompt: `count` new tokens after `past` cached ones, on these pages."""

    past: int
    count: int
    pages: list[int]


class PromptAttention:
    """Attention for one packed step; built once, called for every layer."""

    def __init__(self, pool: PagePool, spans: Sequence[Span], dtype: torch.dtype):
        device = pool.keys[0].device
        self._pool, self._spans = pool, spans
        self._flash = flash_works(device, dtype, pool.keys[0].shape[2])
        self._with_past = any(span.past for span in spans)
        self._places = [self._cached(span, device) for span in spans] if self._with_past else []
        if self._flash:
            counts = [span.count for span in spans]
            totals = [span.past + span.count for span in spans]
            self._borders = (_borders(counts, device), _borders(totals, device))
            self._longest = (max(counts), max(totals))
            if self._with_past:
                self._places = [torch.cat(self._places)]

    def _cached(self, span: Span, device: torch.device) -> torch.Tensor:
        """Places in the pool of all the span's tokens, cached and new."""
        places = token_places(span.pages, 0, span.past + span.count, self._pool.page_tokens)
        return upload(places, device)

    def __call__(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """[T, heads, D] queries and [T, kv_heads, D] keys, values to [T, heads * D]."""
        attend = self._packed if self._flash else self._one_by_one
        return attend(layer, queries, keys, values).reshape(queries.shape[0], -1)

    def _packed(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        if self._with_past:  # the new tokens are in the pool already
            keys = self._pool.keys[layer][:, self._places[0]].transpose(0, 1)
            values = self._pool.values[layer][:, self._places[0]].transpose(0, 1)
        return flash(queries, keys, values, self._borders, self._longest, causal=True)

    def _one_by_one(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        outputs, at = [], 0
        group = queries.shape[1] // keys.shape[1]
        for index, span in enumerate(self._spans):
            mine = slice(at, at + span.count)
            at += span.count
            if span.past:
                places = self._places[index]
                own = [b[layer][:, places] for b in (self._pool.keys, self._pool.values)]
            else:
                own = [keys[mine].transpose(0, 1), values[mine].transpose(0, 1)]
            key, value = (t.repeat_interleave(group, dim=0)[None] for t in own)
            mixed = functional.scaled_dot_product_attention(
                queries[mine].transpose(0, 1)[None],
                key,
                value,
                attn_mask=_after(span, queries.device) if span.past else None,
                is_causal=not span.past,
            )
            outputs.append(mixed[0].transpose(0, 1))
        return torch.cat(outputs)


def token_places(pages: list[int], start: int, end: int, page_tokens: int) -> np.ndarray:
    """Where tokens `start` to `end` of a sequence on these pages lie in the pool; int64."""
    tokens = np.arange(start, end, dtype=np.int64)
    return np.asarray(pages, dtype=np.int64)[tokens // page_tokens] * page_tokens + (
        tokens % page_tokens
    )


def flash(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    borders: tuple[torch.Tensor, torch.Tensor],
    longest: tuple[int, int],
    causal: bool,
) -> torch.Tensor:
    """PyTorch's own flash attention over packed sequences; all [T, heads, D], ends aligned."""
    return torch.ops.aten._flash_attention_forward(
        queries, keys, values, *borders, *longest, 0.0, causal, False
    )[0]


@lru_cache(maxsize=16)
def flash_works(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether this build of PyTorch has that attention for this device, dtype and head size."""
    if device.type != "cuda" or dtype == torch.float32 or head_dim % 8 or torch.version.hip:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    probe = torch.zeros(1, 1, head_dim, dtype=dtype, device=device)
    try:
        border = _borders([1], device)
        flash(probe, probe, probe, (border, border), (1, 1), causal=True)
    except (RuntimeError, NotImplementedError, AttributeError):
        return False
    return True


def _borders(counts: Sequence[int], device: torch.device) -> torch.Tensor:
    return upload(np.concatenate(([0], np.cumsum(counts))).astype(np.int32), device)


def _after(span: Span, device: torch.device) -> torch.Tensor:
    """bool [count, past + count]: which tokens each new one may see."""
    new = torch.arange(span.count, device=device)[:, None] + span.past
    return torch.arange(span.past + span.count, device=device) <= new
