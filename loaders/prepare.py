"""Looks at a checkpoint and decides how it will be loaded, before any weight is."""

from __future__ import annotations

from dataclasses import dataclass

from ..utils.errors import LoadError
from . import catalog
from .adapters import LoraFiles, inspect_adapter
from .capability import Plan, plan
from .checkpoint import Checkpoint, inspect
from .choices import amount, why_not_attached
from .context import check_context
from .estimate import Estimate, check_room, estimate
from .host import host
from .machine import this_machine
from .settings import NEVER, Adapter, LoadSettings


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checkpoint that has been looked at, and how it will be loaded."""

    checkpoint: Checkpoint
    plan: Plan
    estimate: Estimate
    loras: tuple[tuple[Adapter, LoraFiles], ...] = ()


def prepare(settings: LoadSettings) -> Prepared:
    """Look at the files and decide everything, without loading weights.

    Raises:
        LoadError: naming the file or the choice, and what to do.
    """
    checkpoint = _checkpoint(settings)
    machine, memory = this_machine(), host()
    check_context(checkpoint.config, settings.context)
    chosen = plan(settings, checkpoint, machine, memory.default_device(), memory.free_bytes)
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
    from .download import fetch
    from .hubs import list_files

    place = catalog.place_of(spec.name)
    bar = host().ProgressBar(100)

    def on_bytes(done: int, total: int) -> None:
        host().check_interrupt()
        text = f"Downloading {spec.name}: {amount(done)} of {amount(total)} into {place}"
        bar.show(100 * done / max(1, total), text)

    fetch(list_files(settings.download, spec.repository), place, on_bytes)
    return inspect(place)


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
