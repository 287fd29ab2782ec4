"""Looks at a checkpoint and decides how it will be loaded, before any weight is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import LoadError
from ...utils.text.amounts import amount
from ..checkpoint.inspection import Checkpoint, inspect
from ..checkpoint.lora_files import LoraFiles, inspect_adapter
from ..checkpoint.rope import check_context, stretched_by
from ..host.port import host
from ..hub import catalog
from ..settings import NEVER, Adapter, LoadSettings
from .capability import why_not_attached, why_not_fast
from .decision import FP8, FROM_FP8, ONE_DEVICE, PLAIN, QUANTIZED, Plan, plan
from .hardware import this_machine
from .memory_estimate import Estimate, check_room, estimate


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
    checkpoint = _checkpoint(settings)
    machine, memory = this_machine(), host()
    text = checkpoint.architecture.text
    check_context(text.rope, text.context, settings.context)
    chosen = plan(settings, checkpoint, machine, memory.default_device(), memory.free_bytes)
    _check_engine(settings, checkpoint, chosen)
    needed = estimate(checkpoint, chosen)
    check_room(needed, chosen, machine)
    return Preparation(checkpoint, chosen, needed, _loras(settings, checkpoint, chosen))


def _checkpoint(settings: LoadSettings) -> Checkpoint:
    """The checkpoint's folder, checked; fetched first where it is wanted and not whole."""
    spec = catalog.spec_of(settings.model)
    try:
        return inspect(catalog.folder_of(settings.model))
    except LoadError:
        if settings.download == NEVER or spec is None:
            raise
    from ..hub.download import fetch
    from ..hub.remote import list_files

    place = catalog.place_of(spec.name)
    bar = host().progress_bar(100)

    def on_bytes(done: int, total: int) -> None:
        host().check_interrupt()
        text = f"Downloading {spec.name}: {amount(done)} of {amount(total)} into {place}"
        bar.show(100 * done / max(1, total), text)

    fetch(list_files(settings.download, spec.repository), place, on_bytes)
    return inspect(place)


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
    if chosen.weights not in (PLAIN, FROM_FP8):
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
        (adapter, inspect_adapter(catalog.adapter_folder(adapter.name), checkpoint.architecture))
        for adapter in settings.adapters
    )
