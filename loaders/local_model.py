"""A local model as the nodes see it: a light handle that loads at first use."""

from __future__ import annotations

import functools
import gc
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..utils.errors import LoadError
from ..utils.files.fingerprint import digest_of, published
from ..utils.text.amounts import GB
from .checkpoint.config import files_version
from .engine.model.layers import supports
from .engine.protocol import Engine
from .host.out_of_memory import is_out_of_memory
from .host.port import host
from .model_cache import MODEL_CACHE
from .plan.decision import ONE_DEVICE, SPREAD, Plan
from .plan.prepare import Preparation, prepare
from .plan.report import loaded_text, loading_text, plan_text
from .plan.whole_copy import versions_here
from .settings import PARK, UNLOAD, Adapter, LoadSettings
from .weights.build import Built, build, size_bytes
from .weights.lora_layers import apply as apply_loras

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """What the loader node returns; holds no weights."""

    settings: LoadSettings

    @property
    def name(self) -> str:
        """The model's name in the loader's menu."""
        return self.settings.model

    @property
    def identity(self) -> str:
        """What decides its answers, apart from rounding: the model and its adapters."""
        return " ".join([self.name, *(adapter.identity for adapter in self.settings.adapters)])

    @property
    def making(self) -> str:
        """What else decides them, as a digest: the files as they are, dtype, quantization, context.

        Apart from `identity`, so that captions of releases which knew only that stay known.
        Empty where the files are not here, or not whole: then nothing is said about them.
        """
        settings = self.settings
        files = versions_here(settings)
        if not files:
            return ""
        first = {
            "files": files,
            "dtype": settings.dtype,
            "quantization": settings.quantization,
            "context": settings.context,
        }
        return digest_of(published("Making", first)).hex()

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """An engine with the weights in place, ours for the length of the `with` block.

        Raises:
            InputError, LoadError: see `catalog`, `checkpoint`, `capability` and `build`.
        """
        try:
            with MODEL_CACHE.lease(
                self.settings, lambda: LoadedModel(self.settings), LoadedModel.is_current
            ) as loaded:
                loaded.claim()
                yield loaded.engine
        finally:
            if self.settings.keep == UNLOAD:
                self.unload()

    def with_adapter(self, adapter: Adapter) -> LocalModel:
        """The same model with one adapter more."""
        adapters = (*self.settings.adapters, adapter)
        return LocalModel(replace(self.settings, adapters=adapters))

    def unload(self) -> None:
        """Give the memory back now, or when the last user is done."""
        MODEL_CACHE.evict(self.settings)

    def describe(self) -> str:
        """What will be loaded and how, from inspecting files only.

        Raises:
            LoadError: it cannot be loaded here; says why and what can.
        """
        prepared = prepare(self.settings)
        return plan_text(
            self.name,
            prepared.checkpoint,
            prepared.plan,
            prepared.estimate,
            self.settings.adapters,
            host().free_bytes(prepared.plan.device),
        )


class LoadedModel:
    """A module, its engine and its place in memory management."""

    def __init__(self, settings: LoadSettings):
        started = time.perf_counter()
        prepared = prepare(settings)
        chosen = prepared.plan
        self._settings, self._versions = settings, prepared.versions
        self._working_bytes = prepared.estimate.working_bytes
        built = _build(settings, prepared)
        parks = settings.keep == PARK and chosen.movable
        self._residence = host().residence(
            built.module,
            chosen.device,
            size_bytes(built.module, chosen.device),
            lambda: MODEL_CACHE.evict(settings),
            self._prepare_to_move if parks else None,
        )
        # Partials, not methods: a cycle through this object would keep the weights alive.
        make_room = functools.partial(
            host().make_room, self._working_bytes, chosen.device, keep=self._residence
        )
        free_bytes = functools.partial(host().free_bytes, chosen.device)
        try:
            self.engine = _engine(settings.engine, built, make_room, free_bytes)
        except BaseException:
            self._residence.leave()  # or the weights would stay, with nobody to unload them
            raise
        seconds = time.perf_counter() - started
        self.report = loaded_text(
            settings.model, chosen, built.size_bytes, prepared.checkpoint.weight_bytes, seconds
        )
        log.info(self.report)
        host().progress_bar(1).show(0, self.report)

    def is_current(self) -> bool:
        """Whether its files are still those that it was loaded from."""
        return all(files_version(folder) == version for folder, version in self._versions.items())

    def claim(self) -> None:
        """Tell ComfyUI that this model is the one in use; parked weights come back."""
        self._residence.claim(self._working_bytes)

    def close(self) -> None:
        """Give back the engine's buffers and leave ComfyUI's list."""
        self.engine.close()
        self._residence.leave()

    def _prepare_to_move(self) -> bool:
        """Drop the caches and graphs that point at the weights; False while these are in use."""
        if MODEL_CACHE.in_use(self._settings):
            return False
        self.engine.drop_buffers()
        return True


def _build(settings: LoadSettings, prepared: Preparation) -> Built:
    """Load the weights; out of memory, once more on a device emptied of everything else.

    Raises:
        LoadError: it is still too little; with numbers.
    """
    chosen, needed = prepared.plan, prepared.estimate
    bar = host().progress_bar(max(1, needed.weight_bytes))

    def on_bytes(done: int, total: int) -> None:
        host().check_interrupt()
        bar.show(
            done / max(1, total) * needed.weight_bytes, loading_text(settings.model, done, total)
        )

    bar.show(0, f"Loading {settings.model} …")
    for wanted in (needed.total_bytes, 1 << 50):
        _make_room(wanted, chosen)
        if _too_little_ram(chosen, needed.weight_bytes):
            continue
        try:
            built = build(prepared.checkpoint, chosen, settings.context, on_bytes)
            with torch.inference_mode(False):
                apply_loras(built.module, prepared.loras)
            return built
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            # recovered below: the exception holds the tensors
        gc.collect()
    raise LoadError(
        f"Out of memory while loading {settings.model}: its weights need "
        f"{needed.weight_bytes / GB:.1f} GB, and {chosen.device} has "
        f"{host().free_bytes(chosen.device) / GB:.1f} GB free.",
        "Close other programs that use this device, or choose quantization 4-bit, device GPU and "
        "RAM, or a smaller model.",
    )


def _too_little_ram(chosen: Plan, weight_bytes: int) -> bool:
    """Torch does not say so: the system would end the whole process in the middle of the load."""
    on_cpu = chosen.placement == ONE_DEVICE and chosen.device.type == "cpu"
    return on_cpu and host().free_bytes(chosen.device) < weight_bytes


def _make_room(wanted_bytes: int, chosen: Plan) -> None:
    """Ask for the memory on every device that will get weights."""
    devices = [chosen.device]
    if chosen.placement == SPREAD:
        devices = [torch.device("cuda", n) for n in range(torch.cuda.device_count())]
        wanted_bytes //= len(devices)
    elif chosen.placement != ONE_DEVICE:
        # What does not fit goes to RAM, so an empty GPU is all that can be asked for.
        wanted_bytes = 1 << 50
    for device in devices:
        host().make_room(wanted_bytes, device)


def _engine(
    choice: str, built: Built, make_room: Callable[[], None], free_bytes: Callable[[], int]
) -> Engine:
    """The fast engine where it can drive the module, the reference engine elsewhere.

    Raises:
        LoadError: the fast one was chosen and cannot.
    """
    # Half of the pack's import time, for something that is needed at the first load.
    from .engine.fast import FastEngine
    from .engine.reference import ReferenceEngine

    reason = supports(built.module) if choice != "reference" else None
    if choice == "reference" or (choice == "auto" and reason):
        log.info("Engine: reference (%s)", reason or "as chosen")
        return ReferenceEngine(built.module, built.processor, make_room)
    if reason:
        raise LoadError(
            f"The fast engine cannot run this model: {reason}.", "Choose engine auto or reference."
        )
    return FastEngine(built.module, built.processor, make_room, free_bytes=free_bytes)
