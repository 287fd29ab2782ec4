"""Looks at a checkpoint and decides how it will be loaded, before any weight is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.lora_files import LoraFiles
from ..checkpoint.rope import check_context, stretched_by
from ..host.port import host
from ..settings import Adapter, LoadSettings
from .capability import why_not_attached, why_not_fast
from .decision import ONE_DEVICE, Plan, plan
from .hardware import this_machine
from .memory_estimate import Estimate, check_room, estimate
from .weight_ways import FP8, OWN, QUANTIZED
from .whole_copy import adapter_files, whole_copy


@dataclass(frozen=True, slots=True)
class Preparation:
    """A checkpoint that has been looked at, and how it will be loaded."""

    checkpoint: Checkpoint
    plan: Plan
    estimate: Estimate
    loras: tuple[tuple[Adapter, LoraFiles], ...] = ()

    @property
    def versions(self) -> dict[Path, str]:
        """Each folder that will be read, and its stamp."""
        read = [self.checkpoint, *(files for _, files in self.loras)]
        return {files.folder: files.version for files in read}


def prepare(settings: LoadSettings) -> Preparation:
    """Look at the files and decide everything, without loading weights.

    Raises:
        LoadError: naming the file or the choice, and what to do.
    """
    checkpoint, origin = whole_copy(settings)
    machine, memory = this_machine(), host()
    text = checkpoint.architecture.text
    check_context(text.rope, text.context, settings.context)
    chosen = plan(settings, checkpoint, machine, memory.default_device(), memory.free_bytes)
    if origin:
        chosen = replace(chosen, notes=(origin, *chosen.notes))
    _check_engine(settings, checkpoint, chosen)
    needed = estimate(checkpoint, chosen)
    check_room(needed, chosen, machine)
    return Preparation(checkpoint, chosen, needed, _loras(settings, checkpoint, chosen))


def _check_engine(settings: LoadSettings, checkpoint: Checkpoint, chosen: Plan) -> None:
    """Refuse the fast engine where settings and config tell that it cannot drive the model.

    Whatever else makes it impossible is found by the engine, on the module.

    Raises:
        LoadError: with every reason, and the choices that work.
    """
    if settings.engine != "fast":
        return
    reasons, ways = [], []
    if chosen.placement != ONE_DEVICE:
        reasons.append(f"device {chosen.placement} moves its layers about")
        ways.append("one device")
    if chosen.weights not in OWN:
        reasons.append("its weights stay quantized")
        plain = {QUANTIZED: "quantization none", FP8: "dtype bf16"}
        ways.append(plain.get(chosen.weights, "a checkpoint of plain weights"))
    if not all(adapter.merged for adapter in settings.adapters):
        reasons.append("a LoRA is attached to it")
        ways.append("merged in the LoRA node")
    text = checkpoint.architecture.text
    own = why_not_fast(text.activation, stretched_by(text.rope, settings.context))
    if own:
        reasons, ways = [*reasons, own], []
    if reasons:
        also = f", or {' and '.join(ways)}" if ways else ""
        raise LoadError(
            f"The fast engine cannot run this model: {', and '.join(reasons)}.",
            f"Choose engine auto or reference{also}.",
        )


def _loras(
    settings: LoadSettings, checkpoint: Checkpoint, chosen: Plan
) -> tuple[tuple[Adapter, LoraFiles], ...]:
    if settings.adapters and not chosen.movable and any(a.merged for a in settings.adapters):
        raise LoadError(
            "A LoRA cannot be merged into weights that are quantized or spread.",
            "Choose attached in the LoRA node, or quantization none and one device.",
        )
    reason = why_not_attached(this_machine())
    if reason and not all(adapter.merged for adapter in settings.adapters):
        raise LoadError(
            f"A LoRA cannot be attached: {reason}.",
            "Install it into ComfyUI's Python, or choose merged in the LoRA node.",
        )
    return tuple(
        (adapter, adapter_files(adapter.name, checkpoint.architecture))
        for adapter in settings.adapters
    )
