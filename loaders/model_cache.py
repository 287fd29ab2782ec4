"""MODEL_CACHE: every loaded model once, shared by all nodes, held while it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from .settings import LoadSettings


class Loaded(Protocol):
    """What the cache keeps."""

    def close(self) -> None:
        """Give back everything."""
        ...


L = TypeVar("L", bound=Loaded)


@dataclass(slots=True)
class _Entry(Generic[L]):
    loaded: L
    users: int = 0
    evicted: bool = False


class ModelCache(Generic[L]):
    """Loaded models by their settings; safe from several threads.

    An entry is closed only when nobody uses it: evicting one in use marks it, and its last
    user closes it. A load that fails leaves no entry.
    """

    def __init__(self) -> None:
        # Reentrant: making room for a new model may evict another one of this cache.
        self._lock = threading.RLock()
        self._entries: dict[LoadSettings, _Entry[L]] = {}

    @contextmanager
    def lease(
        self,
        settings: LoadSettings,
        load: Callable[[], L],
        is_current: Callable[[L], bool] = lambda _loaded: True,
    ) -> Iterator[L]:
        """Use the model for these settings, loading it first where it is not there.

        One that is not current any more is loaded anew. Other settings of the same model make
        way when nobody uses them: whoever changes a setting wants the new one, not two copies.
        """
        with self._lock:
            entry = self._entries.get(settings)
            if entry is None or not is_current(entry.loaded):
                for other in [k for k in self._entries if k.model == settings.model]:
                    self.evict(other)
                entry = self._entries[settings] = _Entry(load())
            entry.users += 1
        try:
            yield entry.loaded
        finally:
            with self._lock:
                entry.users -= 1
                if entry.evicted and not entry.users:
                    entry.loaded.close()

    def evict(self, settings: LoadSettings) -> None:
        """Forget a model; it is closed now, or when its last user is done."""
        with self._lock:
            entry = self._entries.pop(settings, None)
            if entry is None:
                return
            entry.evicted = True
            if not entry.users:
                entry.loaded.close()

    def in_use(self, settings: LoadSettings) -> bool:
        """Whether somebody has this model leased now."""
        with self._lock:
            entry = self._entries.get(settings)
            return entry is not None and entry.users > 0

    def clear(self) -> None:
        """Forget every model."""
        with self._lock:
            for settings in list(self._entries):
                self.evict(settings)

    def settings(self) -> tuple[LoadSettings, ...]:
        """What is loaded now."""
        with self._lock:
            return tuple(self._entries)


MODEL_CACHE: ModelCache[Any] = ModelCache()
