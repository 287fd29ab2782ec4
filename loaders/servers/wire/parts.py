"""The parts of a message as OpenAI writes them: text, pictures as addresses, films as they go."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from ....utils.images.picture import Clip
from ..dialects.dialect import FilmTimes, Json

JPEG_QUALITY = 95
# The filter by which a PNG's rows are written: each as its difference to the one above.
UP = 2
# The model's vision tower takes so many frames of a film together.
FRAMES_A_TIME = 2


class DataUri(str):
    """A picture inside an address; nothing in it has to be escaped in JSON."""

    __slots__ = ()


def text_part(text: str) -> Json:
    """A text."""
    return {"type": "text", "text": text}


def picture_part(pixels: np.ndarray, kind: str) -> Json:
    """An RGB picture [H, W, 3] as `png`, `jpeg` or `bmp`."""
    return {"type": "image_url", "image_url": {"url": data_uri(pixels, kind)}}


def film_part(clip: Clip) -> Json:
    """All frames together; their times are told beside the messages (`film_times`)."""
    frames = ",".join(_base64(frame, "jpeg") for frame in clip.frames)
    return {"type": "video_url", "video_url": {"url": DataUri(f"data:video/jpeg;base64,{frames}")}}


def frame_parts(clip: Clip, kind: str) -> list[Json]:
    """The first of every two frames as a picture after the second of both, as a model reads films.

    With these the demo model's answers on a server had more right times than with every frame,
    the other of two, or their mean.
    """
    parts = []
    for first in range(0, len(clip.frames), FRAMES_A_TIME):
        seconds = clip.times[first : first + FRAMES_A_TIME]
        parts.append(text_part(f"<{sum(seconds) / len(seconds):.1f} seconds>"))
        parts.append(picture_part(clip.frames[first], kind))
    return parts


def film_times(clips: Sequence[Clip]) -> FilmTimes | None:
    """The times of these films; None where they differ, since a request can say them only once."""
    times = {_times_of(clip) for clip in clips}
    return times.pop() if len(times) == 1 else None


def _times_of(clip: Clip) -> FilmTimes:
    fps, numbers = float(clip.source_fps), tuple(map(int, clip.indices))
    if clip.seconds:  # thousandths of a second as frame numbers, which have to be whole
        fps, numbers = 1000.0, tuple(round(second * 1000) for second in clip.seconds)
    return FilmTimes(fps, numbers, max(int(clip.total_frames), len(numbers), numbers[-1] + 1))


def data_uri(pixels: np.ndarray, kind: str) -> DataUri:
    """An RGB picture [H, W, 3] inside an address; png and bmp keep every value."""
    return DataUri(f"data:image/{kind};base64,{_base64(pixels, kind)}")


def _base64(pixels: np.ndarray, kind: str) -> str:
    return base64.b64encode(png(pixels) if kind == "png" else _saved(pixels, kind)).decode("ascii")


def _saved(pixels: np.ndarray, kind: str) -> memoryview:
    from PIL import Image

    file, image = io.BytesIO(), Image.fromarray(pixels)
    if kind == "jpeg":
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        image.save(file, "BMP")
    return file.getbuffer()


def png(pixels: np.ndarray) -> bytes:
    """An RGB picture [H, W, 3] of 8 bits as PNG, every value kept.

    Pillow tries five filters a row, which was most of what a request costs here. One filter and
    zlib's search for runs take a quarter to two fifths of its time, outside Python's lock, for 5 %
    fewer (photo-like) to 17 % more bytes (smooth).

    Source: the PNG specification, 9.2 (filters) and 11.2 (chunks).
    """
    height, width, _ = pixels.shape
    flat = pixels.reshape(height, -1)
    rows = np.empty((height, 1 + flat.shape[1]), np.uint8)
    rows[:, 0] = UP
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    packed = packer.compress(rows.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", packed), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
