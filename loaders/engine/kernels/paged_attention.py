# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""Attention of one new token a row over the pages where its keys and values lie."""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl

from ..model.torch_ops import DecodeView
from .launch import launch
from .tuning.choices import is_measured

# Programs that keep the 132 multiprocessors of a large GPU busy; the keys of a row are split until
# there are about so many.
PROGRAMS = 512
MAX_SPLITS = 32


@triton.jit
def _attend_split(
    queries, keys, values, table, lengths, sums, peaks, out,
    query_stride, head_stride, table_stride, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, GROUP: tl.constexpr, SIZE: tl.constexpr,
    PAGE: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    row, kv_head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(lengths + row).to(tl.int32)
    pages = tl.cdiv(length, PAGE)
    share = tl.cdiv(pages, SPLITS)
    begin = split * share
    end = tl.minimum(begin + share, pages)
    member, size, place = tl.arange(0, GROUP), tl.arange(0, SIZE), tl.arange(0, PAGE)
    mine = member < HEADS // KV_HEADS
    head = kv_head * (HEADS // KV_HEADS) + member
    query = tl.load(
        queries + row * query_stride + head[:, None] * SIZE + size[None, :],
        mask=mine[:, None], other=0.0,
    )  # fmt: skip
    peak = tl.full([GROUP], -1e30, tl.float32)
    total = tl.zeros([GROUP], tl.float32)
    mixed = tl.zeros([GROUP, SIZE], tl.float32)
    for index in range(begin, end):
        page = tl.load(table + row * table_stride + index)
        first = kv_head.to(tl.int64) * head_stride + page * (PAGE * SIZE)
        at = first + place[:, None] * SIZE + size[None, :]
        seen = index * PAGE + place < length
        key = tl.load(keys + at, mask=seen[:, None], other=0.0)
        score = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
        score = tl.where(seen[None, :], score, -1e30)
        higher = tl.maximum(peak, tl.max(score, axis=1))
        weight = tl.where(seen[None, :], tl.exp(score - higher[:, None]), 0.0)
        shrink = tl.exp(peak - higher)
        total = total * shrink + tl.sum(weight, axis=1)
        value = tl.load(values + at, mask=seen[:, None], other=0.0)
        mixed = mixed * shrink[:, None] + tl.dot(
            weight.to(value.dtype), value, input_precision="ieee"
        )
        peak = higher
    to = row * HEADS + head
    if SPLITS == 1:
        mixed = mixed / total[:, None]
        tl.store(
            out + to[:, None] * SIZE + size[None, :], mixed.to(out.dtype.element_ty),
            mask=mine[:, None],
        )  # fmt: skip
    else:
        part = to * SPLITS + split
        tl.store(sums + part[:, None] * SIZE + size[None, :], mixed, mask=mine[:, None])
        tl.store(peaks + part * 2, peak, mask=mine)
        tl.store(peaks + part * 2 + 1, total, mask=mine)


@triton.jit
def _attend_merge(sums, peaks, out, SIZE: tl.constexpr, SPLITS: tl.constexpr):
    head = tl.program_id(0)
    split, size = tl.arange(0, SPLITS), tl.arange(0, SIZE)
    part = head * SPLITS + split
    peak, total = tl.load(peaks + part * 2), tl.load(peaks + part * 2 + 1)
    share = tl.exp(peak - tl.max(peak, axis=0))
    mixed = tl.load(sums + part[:, None] * SIZE + size[None, :]) * share[:, None]
    value = tl.sum(mixed, axis=0) / tl.sum(total * share, axis=0)
    tl.store(out + head * SIZE + size, value.to(out.dtype.element_ty))


def paged_attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, view: DecodeView
) -> torch.Tensor:
    """[B, heads, D] queries over `keys`, `values` [kv_heads, tokens, D] to [B, heads * D].

    Each KV head is read once for its group of query heads; long rows are read in several pieces
    at once, which are then merged.
    """
    batch, heads, size = queries.shape
    kv_heads = keys.shape[0]
    out = queries.new_empty(batch, heads * size)
    splits = splits_for(batch * kv_heads, _busy(out.device))
    sums = peaks = out
    if splits > 1:
        sums = torch.empty(batch, heads, splits, size, device=out.device)
        peaks = torch.empty(batch, heads, splits, 2, device=out.device)
    launch(
        _attend_split, (batch, kv_heads, splits),
        queries, keys, values, view.table, view.lengths, sums, peaks, out,
        queries.stride(0), keys.stride(0), view.table.stride(0), size**-0.5,
        heads, kv_heads, max(16, triton.next_power_of_2(heads // kv_heads)), size,
        view.page_tokens, splits, num_warps=4, num_stages=3,
    )  # fmt: skip
    if splits > 1:
        launch(_attend_merge, (batch * heads,), sums, peaks, out, size, splits)
    return out


@lru_cache(maxsize=8)
def _busy(device: torch.device) -> int:
    """Programs that keep this device busy: four for each multiprocessor."""
    if is_measured(device):
        return PROGRAMS
    return 4 * torch.cuda.get_device_properties(device).multi_processor_count


def splits_for(programs: int, busy: int = PROGRAMS) -> int:
    """Into how many pieces the keys of each (row, KV head) are cut, so that there are about `busy`
    programs; a power of two.
    """
    wanted = max(1, busy // programs)
    return min(MAX_SPLITS, 1 << (wanted.bit_length() - 1))
