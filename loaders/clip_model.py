"""A Qwen3-VL that ComfyUI holds as a text encoder, as the nodes see it."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..utils.errors import InputError
from ..utils.files.fingerprint import digest_of, published
from ..utils.text.amounts import amount
from .checkpoint.architecture import read_architecture
from .checkpoint.inspection import Checkpoint
from .checkpoint.single_file import config_of
from .checkpoint.tensor_names import canonical
from .engine.protocol import Engine
from .host.port import host
from .plan.capability import why_not_dtype
from .plan.hardware import this_machine
from .plan.memory_estimate import Estimate, estimate_of
from .settings import NATIVE, Adapter
from .weights.build import size_bytes
from .weights.lent import copies, module_of, sample_of
from .weights.processor import processor_for_file

log = logging.getLogger(__name__)
_FLOATS = (torch.bfloat16, torch.float16, torch.float32)


class ClipModel:
    """The same weights for pictures' words and for prompts' encoding.

    Plain ones are used as they lie: ComfyUI loads, moves and frees them. Of others (quantized, in
    several dtypes, or in one that computes badly here) a plain copy is made at the first use.

    Args:
        clip: what a CLIPLoader gives.

    Raises:
        LoadError: it is no whole Qwen3-VL; says what it lacks.
    """

    def __init__(self, clip: Any):
        self._lent = host().lend(clip)
        self._checkpoint = _checkpoint(self._lent.name, self._weights())
        self._open: _Opened | None = None
        self._making, self._users = "", 0

    @property
    def name(self) -> str:
        """What ComfyUI calls it."""
        return self._lent.name

    @property
    def identity(self) -> str:
        """What decides its answers, apart from rounding, as far as a CLIP tells."""
        return f"CLIP {self.name}"

    @property
    def making(self) -> str:
        """Its weights with their LoRAs, as a digest of some numbers of each."""
        if not self._making:
            self._lent.claim(0)  # LoRAs are in the weights only once these are on their device
            first = {"weights": sample_of(self._weights()), "dtype": str(self._dtype)}
            self._making = digest_of(published("ClipMaking", first)).hex()
        return self._making

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """An engine with the weights in place, ours for the length of the `with` block.

        Raises:
            LoadError: the host has no vocabulary for it.
        """
        self._lent.claim(self._needed.working_bytes)
        if self._open is None:
            self._open = _Opened(self)
        self._open.claim()
        self._users += 1
        try:
            yield self._open.engine
        finally:
            self._users -= 1

    def with_adapter(self, adapter: Adapter) -> ClipModel:
        """Refused: a CLIP has its own way.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"The LoRA {adapter.name!r} cannot be added to a CLIP.",
            "Put a LoraLoader between CLIPLoader and this pack, or use the pack's own Loader.",
        )

    def unload(self) -> None:
        """Give back the engine's memory, and a copy's; the CLIP's own is ComfyUI's."""
        opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def let_go(self) -> None:
        """The weights have left their device: whoever wants its memory gets the engine's too."""
        if not self._users:
            self.unload()
        elif self._open is not None:
            self._open.engine.drop_buffers()

    def describe(self) -> str:
        """What it is, and what it costs."""
        size = f"{self._checkpoint.parameters / 1e9:.1f} billion parameters"
        how = "Used as ComfyUI has it, without a second copy of the weights."
        if self._why_copied:
            how = (
                f"Its weights are {self._why_copied}: a plain copy of "
                f"{amount(self._needed.weight_bytes)} is made at the first use."
            )
        return f"{self.name} of ComfyUI: {size}, on {self.device}.\n{how}"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._lent.device

    def _weights(self) -> dict[str, nn.Parameter]:
        return {canonical(name): weight for name, weight in self._lent.weights().items()}

    @functools.cached_property
    def _why_copied(self) -> str:
        """Why the weights cannot be used as they lie; empty where they can."""
        weights = self._weights().values()
        if any(self._lent.is_packed(weight) for weight in weights):
            return "quantized"
        kinds = {weight.dtype for weight in weights}
        if len(kinds) > 1 or not kinds <= set(_FLOATS):
            return "of several kinds of numbers" if len(kinds) > 1 else "quantized"
        reason = why_not_dtype(this_machine(), self.device, kinds.pop())
        return f"in a form for which {reason}" if reason else ""

    @property
    def _dtype(self) -> torch.dtype:
        if not self._why_copied:
            return next(iter(self._weights().values())).dtype
        computes = why_not_dtype(this_machine(), self.device, torch.bfloat16) is None
        return torch.bfloat16 if computes else torch.float16

    @property
    def _needed(self) -> Estimate:
        item = self._dtype.itemsize
        architecture = self._checkpoint.architecture
        size = self._checkpoint.parameters * item if self._why_copied else 0
        return estimate_of(architecture, size, item, architecture.text.context)


class _Opened:
    """The engine over a CLIP's weights, or over a copy of them, until they move."""

    def __init__(self, model: ClipModel):
        from .engine.fast import FastEngine

        processor = processor_for_file(host().tokenizer_folder())
        self._working, self._residence = model._needed.working_bytes, None
        weights, dtype, device = model._weights(), model._dtype, model.device
        if model._why_copied:
            weights = _copied(model, weights, dtype)
        module = module_of(model._checkpoint, dtype, NATIVE, weights)
        keep = model._lent
        if model._why_copied:
            size = size_bytes(module, device)
            keep = self._residence = host().residence(module, device, size, model.unload)
        else:
            # Weakly: the CLIP may outlive the node that made this.
            model._lent.on_moved(functools.partial(_moved, weakref.ref(model)), "qwen3vl")
        make_room = functools.partial(host().make_room, self._working, device, keep=keep)
        free_bytes = functools.partial(host().free_bytes, device)
        self.engine = FastEngine(module, processor, make_room, free_bytes=free_bytes)
        log.info(model.describe())

    def claim(self) -> None:
        """A copy is in use; the CLIP itself was claimed already."""
        if self._residence is not None:
            self._residence.claim(self._working)

    def close(self) -> None:
        """Give back the engine's buffers, and the copy."""
        self.engine.close()
        if self._residence is not None:
            self._residence.leave()


def _moved(model: weakref.ref[ClipModel]) -> None:
    if (there := model()) is not None:
        there.let_go()


def _copied(
    model: ClipModel, weights: Mapping[str, nn.Parameter], dtype: torch.dtype
) -> dict[str, nn.Parameter]:
    host().make_room(model._needed.total_bytes, model.device)
    bar = host().progress_bar(len(weights))
    bar.show(0, f"Copying {model.name} …")

    def on_weight(number: int) -> None:
        host().check_interrupt()
        bar.show(number)

    return copies(weights, model._lent.plain, model.device, dtype, on_weight)


def _checkpoint(name: str, weights: Mapping[str, nn.Parameter]) -> Checkpoint:
    """What the shapes of the weights tell.

    Raises:
        LoadError: layers or the output layer are missing.
    """
    config = config_of(name, weights)
    size = sum(weight.nbytes for weight in weights.values())
    architecture = read_architecture(config, name)
    return Checkpoint(Path(name), "qwen3_vl", size, architecture, config, {})
