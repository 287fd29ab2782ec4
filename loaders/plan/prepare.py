"""Looks at a checkpoint and decides how it will be loaded, before any weight is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...utils.errors import LoadError
from ..checkpoint.inspection import Checkpoint, inspect
from ..checkpoint.rope import UNSTRETCHED, check_context, with_context
from ..engine.model.layers import supports_config
from ..host.port import host
from ..hub import catalog
from ..settings import NEVER, Adapter, LoadSettings
from ..weights.lora import LoraFiles, inspect_adapter
from .capability import amount, why_not_attached
from .decision import FP8, FROM_FP8, ONE_DEVICE, PLAIN, QUANTIZED, Plan, plan
from .hardware import this_machine
from .memory_estimate import Estimate, check_room, estimate


@dataclass(frozen=True, slots=True)
class Prepared:
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


def prepare(settings: LoadSettings) -> Prepared:
    """Look at the files and decide everything, without loading weights.

    Raises:
        LoadError: naming the file or the choice, and what to do.
    """
    checkpoint = _checkpoint(settings)
    machine, memory = this_machine(), host()
    check_context(checkpoint.config, settings.context)
    chosen = plan(settings, checkpoint, machine, memory.default_device(), memory.free_bytes)
    _check_engine(settings, checkpoint, chosen)
    needed = estimate(checkpoint, chosen)
    check_room(needed, chosen, machine)
    return Prepared(checkpoint, chosen, needed, _loras(settings, checkpoint, chosen))


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
    bar = host().ProgressBar(100)

    def on_bytes(done: int, total: int) -> None:
        host().check_interrupt()
        text = f"Downloading {spec.name}: {amount(done)} of {amount(total)} into {place}"
        bar.show(100 * done / max(1, total), text)

    fetch(list_files(settings.download, spec.repository), place, on_bytes)
    return inspect(place)


def _check_engine(settings: LoadSettings, checkpoint: Checkpoint, chosen: Plan) -> None:
    """Refuse the fast engine where settings and config tell that it cannot drive the model.

    Whatever else makes it impossible is found by `engine.weights.supports`, on the module.

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
    text = with_context(checkpoint.config, settings.context, 5)["text_config"]
    rope = text["rope_parameters"]["rope_type"]
    own = supports_config(
        text.get("hidden_act", "silu"), "default" if rope in UNSTRETCHED else rope
    )
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
