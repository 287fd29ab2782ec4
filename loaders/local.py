"""A local model as the nodes see it: a light handle that loads at first use."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import catalog, comfy_bridge
from .build import Built, build
from .cache import MODEL_CACHE
from .capability import Plan, plan
from .checkpoint import inspect
from .engine.protocol import Engine
from .engine.reference import ReferenceEngine
from .settings import LoadSettings

log = logging.getLogger(__name__)

# Room for one batch beside the weights: caches, vision activations and logits.
WORKING_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class LocalModel:
    """What the loader node returns; holds no weights."""

    settings: LoadSettings

    @property
    def name(self) -> str:
        """The model's name in the loader's menu."""
        return self.settings.model

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """An engine with the weights in place, ours for the length of the `with` block.

        Raises:
            InputError, LoadError: see `catalog`, `checkpoint`, `capability` and `build`.
        """
        with MODEL_CACHE.lease(self.settings, lambda: LoadedModel(self.settings)) as loaded:
            loaded.claim()
            yield loaded.engine


class LoadedModel:
    """A module, its engine and its place in ComfyUI's memory management."""

    def __init__(self, settings: LoadSettings):
        started = time.perf_counter()
        checkpoint = inspect(catalog.folder_of(settings.model))
        chosen = plan(settings, checkpoint.weight_bytes)
        comfy_bridge.make_room(checkpoint.weight_bytes + WORKING_BYTES, chosen.device)
        built = build(checkpoint, chosen)
        self._residence = comfy_bridge.Residence(
            built.module, chosen.device, built.size_bytes, lambda: MODEL_CACHE.evict(settings)
        )
        # A partial, not a method: a cycle through this object would keep the weights alive.
        free_memory = functools.partial(
            comfy_bridge.make_room, WORKING_BYTES, chosen.device, keep=self._residence
        )
        self.engine = _engine(settings, built, free_memory)
        _say(settings, chosen, built, time.perf_counter() - started)

    def claim(self) -> None:
        """Tell ComfyUI that this model is the one in use."""
        self._residence.claim(WORKING_BYTES)

    def close(self) -> None:
        """Give back the engine's buffers and leave ComfyUI's list."""
        self.engine.close()
        self._residence.leave()


def _engine(settings: LoadSettings, built: Built, free_memory: Any) -> Engine:
    return ReferenceEngine(built.module, built.processor, free_memory)


def _say(settings: LoadSettings, chosen: Plan, built: Built, seconds: float) -> None:
    log.info(
        "Loaded %s: %s, attention %s, quantization %s, on %s, %.2f GB, %.1f s",
        settings.model,
        str(chosen.dtype).removeprefix("torch."),
        chosen.attention,
        chosen.quantization,
        chosen.device,
        built.size_bytes / 1e9,
        seconds,
    )
