# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""The two ends of a decode step as Triton kernels: what it starts from, and the token drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from ..model.torch_ops import Begun
from ..state.rows import Field, sampling_rows
from ..state.sampler import MAX_CANDIDATES, Drawing
from .launch import launch

if TYPE_CHECKING:
    from ..model.text_tower import TextModel
    from ..state.rows import Rows

_TOKEN, _LENGTH, _SHIFT = (tl.constexpr(int(f)) for f in (Field.TOKEN, Field.LENGTH, Field.SHIFT))
_STEP, _ACTIVE = tl.constexpr(int(Field.STEP)), tl.constexpr(int(Field.ACTIVE))
_WIDTH = tl.constexpr(len(Field))


@triton.jit
def _begin(
    ints, table, embedding, scales, inv_freq, hidden, cos, sin, targets, lengths,
    table_stride, width, scale_stride, scaling, GROUP: tl.constexpr,
    HALF: tl.constexpr, PAGE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, part = tl.program_id(0), tl.program_id(1)
    state = ints + row * _WIDTH
    token = tl.load(state + _TOKEN)
    at = part * BLOCK + tl.arange(0, BLOCK)
    inside = at < width
    value = tl.load(embedding + token * width + at, mask=inside, other=0)
    if GROUP:
        scale = tl.load(scales + token * scale_stride + at // GROUP, mask=inside, other=0.0)
        value = (value.to(tl.float32) * scale).to(hidden.dtype.element_ty)
    tl.store(hidden + row * width + at, value, mask=inside)
    if part == 0:
        length = tl.load(state + _LENGTH)
        page = tl.load(table + row * table_stride + length // PAGE)
        tl.store(targets + row, page * PAGE + length % PAGE)
        tl.store(lengths + row, length + 1)
        half = tl.arange(0, HALF)
        angle = (length + tl.load(state + _SHIFT)).to(tl.float32) * tl.load(inv_freq + half)
        dtype = cos.dtype.element_ty
        tl.store(cos + row * HALF + half, (tl.cos(angle) * scaling).to(dtype))
        tl.store(sin + row * HALF + half, (tl.sin(angle) * scaling).to(dtype))


@triton.jit
def _penalize(
    logits, seen, repetition, presence, out, float_stride, vocabulary, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < vocabulary
    value = tl.load(logits + row * vocabulary + at, mask=inside, other=0.0).to(tl.float32)
    known = tl.load(seen + row * vocabulary + at, mask=inside, other=0) != 0
    strength = tl.load(repetition + row * float_stride)
    shrunk = tl.where(value > 0, value / strength, value * strength)
    value = tl.where(known, shrunk - tl.load(presence + row * float_stride), value)
    tl.store(out + row * vocabulary + at, value, mask=inside)


@triton.jit
def _mix32(value):
    mask = tl.full([], 0xFFFFFFFF, tl.int64)
    value = value & mask
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & mask
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & mask
    return value ^ (value >> 16)


@triton.jit
def _pick(
    top, ids, temperature, top_p, top_k, seed, step, tokens,
    float_stride, int_stride, COUNT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`choose_tokens` after its top-k, one row a program; the same arithmetic."""
    row = tl.program_id(0).to(tl.int64)
    rank = tl.arange(0, BLOCK)
    exists = rank < COUNT
    value = tl.load(top + row * COUNT + rank, mask=exists, other=-float("inf"))
    token = tl.load(ids + row * COUNT + rank, mask=exists, other=0)
    heat = tl.load(temperature + row * float_stride)
    scaled = value / tl.maximum(heat, 1e-5)
    keep = exists & (rank < tl.load(top_k + row * int_stride))
    weight = tl.where(keep, tl.exp(scaled - tl.max(scaled, axis=0)), 0.0)
    prob = weight / tl.sum(weight, axis=0)
    before = tl.cumsum(prob, axis=0) - prob
    keep = keep & ((before < tl.load(top_p + row * float_stride)) | (rank == 0))
    mixed = _mix32(tl.load(step + row * int_stride) + 0x9E3779B9)
    mixed = _mix32(tl.load(seed + row * int_stride) ^ mixed)
    mixed = _mix32(mixed ^ _mix32(token + 0x85EBCA6B))
    uniform = ((mixed >> 9).to(tl.float32) + 0.5) * (1.0 / (1 << 23))
    drawn = tl.where(keep, scaled - tl.log(-tl.log(uniform)), -float("inf"))
    best = tl.argmax(drawn, axis=0)
    chosen = tl.where(heat > 0, best, 0)
    tl.store(tokens + row, tl.sum(tl.where(rank == chosen, token, 0), axis=0))


@triton.jit
def _advance(tokens, ints, seen, vocabulary):
    row = tl.program_id(0).to(tl.int64)
    state = ints + row * _WIDTH
    token = tl.load(tokens + row)
    active = tl.load(state + _ACTIVE)
    tl.store(state + _TOKEN, token)
    tl.store(state + _LENGTH, tl.load(state + _LENGTH) + active)
    tl.store(state + _STEP, tl.load(state + _STEP) + active)
    tl.store(seen + row * vocabulary + token, 1)


def begin(text: TextModel, rows: Rows, batch: int, page_tokens: int) -> Begun:
    """See `TorchOps.begin`."""
    table, norm = text.embedding, text.final_norm
    packed = not isinstance(table, torch.Tensor)
    width, half = table.shape[1], len(text.inv_freq)
    weight, scales = (table.weight, table.scales) if packed else (table, table)
    hidden = norm.new_empty(batch, width)
    cos, sin = norm.new_empty(2, batch, half)
    targets, lengths = rows.ints.new_empty(2, batch)
    launch(
        _begin, (batch, triton.cdiv(width, 1024)),
        rows.ints, rows.table, weight, scales, text.inv_freq, hidden, cos, sin, targets, lengths,
        rows.table.stride(0), width, scales.stride(0), text.scaling,
        table.block[1] if packed else 0, half, page_tokens, 1024,
    )  # fmt: skip
    return Begun(hidden, (cos, sin), targets, lengths)


def choose(rows: Rows, logits: torch.Tensor, drawing: Drawing) -> torch.Tensor:
    """See `TorchOps.choose`."""
    batch, vocabulary = logits.shape
    settings = sampling_rows(rows.ints[:batch], rows.floats[:batch])
    scores = torch.empty(batch, vocabulary, device=logits.device)
    float_stride = rows.floats.stride(0)
    launch(
        _penalize, (batch, triton.cdiv(vocabulary, 4096)),
        logits, rows.seen.view(torch.uint8), settings.repetition_penalty,
        settings.presence_penalty, scores, float_stride, vocabulary, 4096, num_warps=8,
    )  # fmt: skip
    if drawing == "best":
        return scores.argmax(dim=-1)
    count = min(MAX_CANDIDATES, vocabulary)
    top, ids = scores.topk(count, dim=-1)
    tokens = torch.empty(batch, dtype=torch.int64, device=logits.device)
    launch(
        _pick, (batch,),
        top, ids, settings.temperature, settings.top_p, settings.top_k, settings.seed,
        rows.ints[:, Field.STEP], tokens, float_stride, rows.ints.stride(0), count,
        triton.next_power_of_2(count), num_warps=1,
    )  # fmt: skip
    return tokens


def advance(rows: Rows, tokens: torch.Tensor) -> None:
    """See `TorchOps.advance`."""
    launch(
        _advance,
        (len(tokens),),
        tokens,
        rows.ints,
        rows.seen.view(torch.uint8),
        rows.seen.shape[1],
        num_warps=1,
    )
