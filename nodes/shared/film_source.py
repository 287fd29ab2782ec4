"""Films that come into a node: a VIDEO, trimmed or not, or images at a rate."""

from __future__ import annotations

import io as bytes_io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...loaders.host.port import host
from ...utils.drawing.contact_sheet import TILE_WH
from ...utils.errors import InputError
from ...utils.images.picture import Picture
from ...utils.images.tensors import pictures_from_tensor
from ...utils.video.film import Film, open_film
from ...utils.video.footage import Footage, batch_footage, film_footage
from ...utils.video.frames import FrameReader
from ...utils.video.moments import FrameChoice
from ..forms.film_widgets import FilmSettings

# How often the reading of a film is told of.
SHOW_SECONDS = 0.25
# What is said of a film that has no file name.
NAMELESS = "The film"


@dataclass(frozen=True, slots=True, eq=False)
class FilmSource:
    """One film: `video` of ComfyUI, or `images` [B, H, W, C] at `fps` frames a second."""

    name: str
    video: Any = None
    images: Any = None
    fps: float = 0.0

    def footage(self, settings: FilmSettings, moment: float | None = None) -> Footage:
        """What the model is shown; frames near `moment`, where one is asked about.

        Raises:
            InputError: no film, an impossible part, or nothing that can be decoded.
        """
        if self.images is not None:
            choice = settings.choice_for(len(self.images) / self.fps, moment)
            return batch_footage(self.images, self.fps, choice, settings.budget)
        with self._opened() as film:
            choice: FrameChoice = settings.choice_for(film.seconds, moment)
            told = _Reading(self.name).take
            return film_footage(film, choice, settings.budget, settings.source_times, told)

    def pictures_at(self, moments: Sequence[float]) -> list[Picture]:
        """Small pictures of what is on screen at rising seconds of the film, one each."""
        if self.images is not None:
            last = len(self.images) - 1
            numbers = [min(last, max(0, int(moment * self.fps))) for moment in moments]
            return [pictures_from_tensor(self.images[n : n + 1])[0] for n in numbers]
        with self._opened() as film:
            inside = [min(moment, film.seconds - 0.5 / film.fps) for moment in moments]
            reader = FrameReader(film, _as_tile)
            return [Picture(frame.pixels) for frame in reader.read(inside)]

    @contextmanager
    def _opened(self) -> Iterator[Film]:
        source = self.video.get_stream_source()
        where = Path(source) if isinstance(source, (str, os.PathLike)) else source
        if not isinstance(where, (Path, bytes_io.BytesIO)):
            raise InputError("The VIDEO has neither a file nor bytes.", "Connect Load Video.")
        with open_film(where, self.name, trim_of(self.video), host().check_interrupt) as film:
            yield film


class _Reading:
    """Shows on the running node how far the reading of its film is, once that takes a while."""

    def __init__(self, name: str):
        self._name, self._next = name, time.monotonic() + SHOW_SECONDS

    def take(self, done: int, count: int) -> None:
        """So many of the frames are there."""
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + SHOW_SECONDS
        # Looking for scene changes and reading what they show count to different ends.
        host().progress_bar(count).show(done, f"Reading {self._name}: {done} of {count} frames")


def film_sources(videos: Iterable[Any], batches: Iterable[Any], fps: float) -> list[FilmSource]:
    """Every film of the two sockets, videos first.

    Raises:
        InputError: nothing is connected.
    """
    sources = [_of_video(video) for video in videos if video is not None]
    for images in batches:
        if images is None:
            continue
        if not isinstance(images, torch.Tensor) or images.ndim != 4 or 0 in images.shape:
            pictures_from_tensor(images)  # says what is wrong with it
        sources.append(FilmSource(NAMELESS, images=images, fps=fps))
    if not sources:
        raise InputError("No film is connected.", "Connect a video, or images with their rate.")
    return sources


def _of_video(video: Any) -> FilmSource:
    if not callable(getattr(video, "get_stream_source", None)):
        raise InputError(
            f"A {type(video).__name__} is no VIDEO.", "Connect the VIDEO output of a node."
        )
    if _is_tensors(video):
        parts = video.get_components()
        return FilmSource(NAMELESS, images=parts.images, fps=float(parts.frame_rate))
    source = video.get_stream_source()
    named = isinstance(source, (str, os.PathLike))
    return FilmSource(os.path.basename(source) if named else NAMELESS, video=video)  # noqa: PTH119


def _is_tensors(video: Any) -> bool:
    """Frames that are in memory already: the base class would encode them to give a stream."""
    base = next((c for c in type(video).__mro__ if c.__name__ == "VideoInput"), None)
    stock: Callable | None = getattr(base, "get_stream_source", None)
    return stock is not None and type(video).get_stream_source is stock


def trim_of(video: Any) -> tuple[float, float]:
    """(start, length) of a trimmed VIDEO on its file's clock; length 0 is to the end.

    Older ComfyUI trims, but has no public word for it.
    """
    if callable(window := getattr(video, "get_active_trim_window", None)):
        start, length = window()  # pyright: ignore[reportGeneralTypeIssues]
        return float(start), float(length)
    start = float(getattr(video, "_VideoFromFile__start_time", 0.0) or 0.0)
    length = float(getattr(video, "_VideoFromFile__duration", 0.0) or 0.0)
    return max(0.0, start), length


def _as_tile(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, TILE_WH[0] / width, TILE_WH[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def first(values: list[Any] | None, otherwise: Any = None) -> Any:
    """The first of a node's list input."""
    return values[0] if values else otherwise
