"""Says in words what will be loaded, how, and why; and what it took."""

from __future__ import annotations

from ...utils.text.amounts import GB, amount
from ..checkpoint.inspection import Checkpoint
from ..settings import Adapter
from .decision import ONE_DEVICE, Plan
from .memory_estimate import Estimate
from .weight_ways import FP8 as STAYS_FP8
from .weight_ways import FROM_4BIT, FROM_FP8, KEPT_4BIT, KEPT_FP8, KEPT_INT8


def plan_text(
    name: str,
    checkpoint: Checkpoint,
    plan: Plan,
    estimate: Estimate,
    adapters: tuple[Adapter, ...],
    free_bytes: int,
) -> str:
    """What a loader is going to do, from inspecting files only: some lines."""
    kind = "mixture of experts" if checkpoint.architecture.text.sparse_layers else "dense"
    where = str(plan.device) if plan.placement == ONE_DEVICE else plan.placement
    lines = [
        f"{name}: {checkpoint.parameters / 1e6:,.0f} million parameters, {kind}, "
        f"{amount(checkpoint.weight_bytes)} in {checkpoint.folder}",
        f"Loads at first use: {precision(plan)} on {where}, attention {plan.attention}, "
        f"context {plan.context:,} tokens, kept {plan.keep}.",
        f"Memory: {estimate}. Free on {plan.device} now: {amount(free_bytes)}"
        + ("; other models will make room." if free_bytes < estimate.total_bytes else "."),
    ]
    lines += [f"- {note}" for note in plan.notes]
    lines += [
        f"- LoRA {a.name}, strength {a.strength:g}, {'merged' if a.merged else 'attached'}."
        for a in adapters
    ]
    return "\n".join(lines)


def precision(plan: Plan) -> str:
    """What the weights are in memory."""
    dtype = str(plan.dtype).removeprefix("torch.")
    if plan.quantization != "none":
        return f"{plan.quantization} (computing in {dtype})"
    if plan.weights in (STAYS_FP8, KEPT_FP8):
        return f"FP8 (computing in {dtype})"
    if plan.weights == KEPT_4BIT:
        return f"4-bit (computing in {dtype})"
    if plan.weights == KEPT_INT8:
        return f"int8 (computing in {dtype})"
    made_from = {FROM_FP8: " made from FP8", FROM_4BIT: " made from 4-bit"}
    return dtype + made_from.get(plan.weights, "")


def loading_text(name: str, done_bytes: int, total_bytes: int) -> str:
    """One line while the weights are being read."""
    return f"Loading {name}: {amount(done_bytes)} of {amount(total_bytes)}"


def loaded_text(name: str, plan: Plan, size_bytes: int, read_bytes: int, seconds: float) -> str:
    """One line once they are there."""
    rate = read_bytes / GB / seconds if seconds else 0.0
    return (
        f"Loaded {name} in {seconds:.1f} s ({rate:.2f} GB/s): {amount(size_bytes)}, "
        f"{precision(plan)} on {plan.device}, attention {plan.attention}"
    )
