"""The few blocks that are worth a try, for each product; reasons are in `tests/bench/engine.md`.

Cards that were not measured have 82 to 170 multiprocessors and 0.9 to 1.8 TB/s where the measured
ones have 132 and 3.3: about half as many bytes have to be under way on each multiprocessor. So most
of what is tried is smaller than what was measured, or cuts the width into fewer or more pieces.
"""

from __future__ import annotations

from collections.abc import Iterable

# Numbers that a thread may hold for its sums; with more of them they no longer stay in registers.
MOST_SUMS = 128
MOST_PIECES = 16
# As many places have `dot_ending.counters`.
MOST_COUNTED = 8192

Blocks = tuple[int, ...]


def matvec_candidates(rows: int, matrices: int) -> list[Blocks]:
    """(outputs a program, inputs a turn, warps) for so many matrices side by side."""
    every = ((2, 1024, 4), (4, 512, 4), (2, 512, 2), (1, 1024, 2), (8, 256, 4), (4, 1024, 4))
    return [
        (outputs, inputs, warps)
        for outputs, inputs, warps in every
        if rows * outputs * inputs * matrices <= MOST_SUMS * 32 * warps
    ]


def dot_candidates(own: Blocks, outputs: int, *, gated: bool, turn: int = 0) -> list[Blocks]:
    """(outputs a program, weights a turn, pieces along the width, warps, stages), near `own`.

    Args:
        own: what is used where nothing is tried.
        outputs: of the product.
        gated: such a product is not cut along its width.
        turn: weights a turn to try instead of `own`'s; 0 where they are not to be chosen.
    """
    block, weights, pieces, warps, stages = own
    found = [(block // 2, weights, pieces, max(1, warps // 2), stages)]
    if not gated:
        found += [(block, weights, number, warps, stages) for number in (pieces // 2, 2 * pieces)]
    if block < 64:
        found.append((2 * block, weights, pieces, 2 * warps, stages))
        found.append((block, weights, pieces, warps, stages + 1))
    else:  # more of either does not fit into 99 KiB
        found.append((block, weights, pieces, warps, stages - 1))
    if turn:
        found.append((block, turn, pieces, warps, stages + 1))
    return [one for one in found if _can_be_cut(one, outputs)]


def _can_be_cut(blocks: Blocks, outputs: int) -> bool:
    block, _, pieces, _, stages = blocks
    counted = pieces == 1 or -(-outputs // block) <= MOST_COUNTED
    return block >= 16 and 1 <= pieces <= MOST_PIECES and counted and stages >= 1


def expert_candidates(own: Blocks, *, turn: int = 0) -> list[Blocks]:
    """(outputs a program, weights a turn, warps, stages), near `own`; `turn` as above."""
    block, weights, warps, stages = own
    found = [
        (2 * block, weights, warps, stages),
        (block // 2, weights, max(1, warps // 2), stages),
        (block, weights, max(1, warps // 2), stages),
        (block, weights, warps, stages - 1),
    ]
    if turn:
        found.append((block, turn, warps, stages + 1))
    return [one for one in found if 16 <= one[0] <= 128 and one[3] >= 1]


def with_default(default: Blocks, others: Iterable[Blocks]) -> list[Blocks]:
    """All of them once, the default first."""
    return list(dict.fromkeys((default, *others)))
