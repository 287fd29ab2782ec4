# ruff: noqa: N803 - compile-time parameters of kernels are written in capitals
"""How a product with packed weights ends: pieces along the width are summed, then written."""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl


@triton.jit
def gate(gates, ups):
    """silu(gate) * up."""
    return gates / (1.0 + tl.exp(-gates)) * ups


@triton.jit
def write(out, total, output, row, outputs, rows):
    """Store `total` [BLOCK_N, ROWS] at `out` [rows, outputs]."""
    place = out + row[None, :] * outputs + output[:, None]
    mask = (row < rows)[None, :] & (output < outputs)[:, None]
    tl.store(place, total.to(out.dtype.element_ty), mask=mask)


@triton.jit
def is_last(parts, turns, total, at, SPLIT: tl.constexpr):
    """Leave this piece's `total` in `parts`, and tell whether all others are there.

    Whoever comes last sums all in their order, so the sum does not depend on who that is.
    """
    block, piece = tl.program_id(0), tl.program_id(1)
    size: tl.constexpr = total.shape[0] * total.shape[1]
    tl.store(parts + (block * SPLIT + piece).to(tl.int64) * size + at, total)
    tl.debug_barrier()
    return tl.atomic_add(turns + block, 1, sem="acq_rel") == SPLIT - 1


@triton.jit
def sum_of(parts, turns, at, SPLIT: tl.constexpr):
    """The sum of all pieces of this block; the counter is 0 again for the next launch."""
    block = tl.program_id(0)
    size: tl.constexpr = at.shape[0] * at.shape[1]
    first = parts + (block * SPLIT).to(tl.int64) * size + at
    total = tl.load(first, cache_modifier=".cg")
    for piece in tl.static_range(1, SPLIT):
        total += tl.load(first + piece * size, cache_modifier=".cg")
    tl.store(turns + block, 0)
    return total


@lru_cache(maxsize=8)
def counters(device: torch.device) -> torch.Tensor:
    """Zeros that every launch leaves as zeros; products of one device follow one another."""
    return torch.zeros(8192, dtype=torch.int32, device=device)


def most_rows(rows: int) -> int:
    """Rows that a program is compiled for."""
    return max(8, triton.next_power_of_2(rows))
