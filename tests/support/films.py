"""Makes small films of every kind with PyAV; each frame tells its own second by its colours."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# The grey of a frame says its number: 4 steps of grey a frame, up to 60 frames.
STEP = 4


def numbered(number: int, size_wh: tuple[int, int] = (96, 64)) -> np.ndarray:
    """A frame: its left half as bright as its number says, right above red, right below blue."""
    width, height = size_wh
    frame = np.full((height, width, 3), (number % 60) * STEP + 8, np.uint8)
    frame[: height // 2, width // 2 :] = (220, 30, 30)
    frame[height // 2 :, width // 2 :] = (30, 30, 220)
    return frame


def number_of(pixels: np.ndarray) -> int:
    """The number of a frame that `numbered` drew."""
    height, width = pixels.shape[:2]
    grey = float(pixels[height // 4 : -height // 4, width // 8 : width * 3 // 8].mean())
    return round((grey - 8) / STEP)


def write_film(
    path: Path,
    count: int = 48,
    fps: int = 8,
    size_wh: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] = (),
    gop: int = 12,
    options: dict[str, str] | None = None,
    container: str | None = None,
    frames: Sequence[np.ndarray] = (),
    rotate: int = 0,
    colorspace: int | None = None,
    pixel_shape: int = 0,
) -> Path:
    """A film of `count` numbered frames, or of `frames`; `times` in seconds make its rate vary."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=fps, options=options or {})
        height, width = frames[0].shape[:2] if len(frames) else size_wh[::-1]
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, fps)
        if pixel_shape:
            stream.codec_context.sample_aspect_ratio = Fraction(pixel_shape)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        for number in range(len(frames) or count):
            pixels = frames[number] if len(frames) else numbered(number, size_wh)
            kind = "rgba" if pixels.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            extra = {} if colorspace is None else {"dst_colorspace": colorspace}
            frame = frame.reformat(format=pix_fmt, **extra)
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(times[number] * 1000) if times else number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    if rotate:
        _turn(path, rotate)
    return path


def _turn(path: Path, degrees: int) -> None:
    """Write a display matrix into an MP4, as a telephone that was held another way does."""
    rows = {
        90: (0, -1, 0, 1, 0, 0, 0, 0),
        180: (-1, 0, 0, 0, -1, 0, 0, 0),
        270: (0, 1, 0, -1, 0, 0, 0, 0),
    }
    matrix = struct.pack(">9i", *(v << 16 for v in rows[degrees]), 1 << 30)
    data = path.read_bytes()
    at = data.index(b"tkhd") + 44
    path.write_bytes(data[:at] + matrix + data[at + 36 :])
