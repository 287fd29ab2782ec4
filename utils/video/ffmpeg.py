"""FFmpeg through PyAV: its errors in the pack's words, and the clock of a stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import InputError, LoadError

# What a file that says nothing is taken for.
FALLBACK_FPS = 24.0
# Containers whose length is a guess from a few packets.
_GUESSING = ("mpeg", "mpegvideo", "flv")
# A day and a half at 60 frames a second.
MAX_PACKETS = 8_000_000


def pyav() -> Any:
    """The av module.

    Raises:
        LoadError: it is not installed.
    """
    try:
        import av
        import av.error
    except ImportError as error:
        raise LoadError(
            f"Films are read with PyAV, which cannot be imported ({error}).", "pip install av"
        ) from None
    return av


def damaged(name: str, error: Exception) -> InputError:
    """The error for a file that FFmpeg cannot read."""
    why = str(getattr(error, "strerror", "") or error)[:200]
    return InputError(
        f"{name} cannot be read as a film ({why}).",
        "It may be cut off or damaged: copy it again, or save it with another program.",
    )


def start_of(stream: Any) -> float:
    """Where a stream begins on the file's own clock, in seconds."""
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def rate_of(stream: Any) -> float:
    """Mean frames a second."""
    for rate in (stream.average_rate, getattr(stream, "guessed_rate", None), stream.base_rate):
        if rate and math.isfinite(float(rate)) and 0 < float(rate) <= 1000:
            return float(rate)
    return FALLBACK_FPS


def seconds_of(container: Any, stream: Any, fps: float, check: Callable[[], None]) -> float:
    """Seconds of video by the header, or, where it does not say, by the packets."""
    guessed = container.format.name in _GUESSING
    if not guessed and stream.duration and stream.duration > 0:
        return float(stream.duration * stream.time_base)
    if not guessed and container.duration and container.duration > 0:
        return container.duration / 1_000_000
    times = packet_seconds(container, stream, check)
    return times[-1] - start_of(stream) + 1 / fps if times else 0.0


def packet_seconds(container: Any, stream: Any, check: Callable[[], None]) -> list[float]:
    """The file's own second of every frame, in order; reads the whole file but decodes nothing."""
    av = pyav()
    times: list[float] = []
    base = float(stream.time_base)
    container.seek(0, backward=True)
    try:
        for packet in container.demux(stream):
            when = packet.pts if packet.pts is not None else packet.dts
            if when is not None:
                times.append(when * base)
            if len(times) % 500 == 0:
                check()
            if len(times) >= MAX_PACKETS:
                break
    except av.error.FFmpegError:
        pass  # a damaged tail: what came before it is the film
    container.seek(0, backward=True)
    times.sort()
    return times
