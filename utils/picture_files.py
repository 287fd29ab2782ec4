"""Reads picture files: listed by name, checked before they are decoded, turned upright."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .chat import Picture
from .errors import InputError
from .images import MAX_SOURCE_PIXELS
from .natural_order import natural_key

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MAX_FILE_BYTES = 512 * 1024 * 1024
# Decoding runs this far ahead of the model; more would only fill memory.
READ_AHEAD = 4


def picture_paths(
    folder: Path, recursive: bool, on_unlisted: Callable[[OSError], None]
) -> list[Path]:
    """Every picture file below `folder`, in the order a person would sort them.

    Hidden files and folders are left out, and links are not followed out of the tree.
    `on_unlisted` gets the error of every folder that cannot be listed.
    """
    found: list[Path] = []
    for current, folders, names in os.walk(folder, onerror=on_unlisted, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")] if recursive else []
        found += [
            Path(current, name)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def read_picture(path: Path) -> Picture:
    """One picture file as RGB: upright, 16 bit scaled to 8, alpha on white, first frame.

    Raises:
        InputError: naming the file, what is wrong with it, and what to do.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        size = path.stat().st_size
        if size == 0 or size > MAX_FILE_BYTES:
            raise InputError(f"{path.name} has {size} bytes.", "Replace it by a sound picture.")
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_SOURCE_PIXELS:
                raise _too_large(path, f" ({width} x {height})")
            image.load()
            return Picture(_rgb(ImageOps.exif_transpose(image)))
    except InputError:
        raise
    except Image.DecompressionBombError:  # Pillow's own ceiling comes before ours is asked
        raise _too_large(path) from None
    except UnidentifiedImageError:  # its own text repeats the whole path
        raise InputError(
            f"{path.name} is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture.",
            "Replace or remove the file.",
        ) from None
    # Pillow's decoders raise almost anything on a broken file, MemoryError included.
    except Exception as error:
        raise InputError(
            f"{path.name} cannot be read as a picture ({type(error).__name__}: {error}).",
            "Replace or remove the file.",
        ) from None


def _too_large(path: Path, size: str = "") -> InputError:
    most = MAX_SOURCE_PIXELS // 1_000_000
    return InputError(f"{path.name} has more than {most} million pixels{size}.", "Make it smaller.")


def _rgb(image: Image) -> np.ndarray:
    from PIL import Image as PillowImage

    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _scaled_grey(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = PillowImage.new("RGBA", image.size, "white")
        image = PillowImage.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _scaled_grey(values: np.ndarray) -> np.ndarray:
    """Grey of more than 8 bits: Pillow's own convert would cut everything above 255 to white."""
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = 65_535.0 if values.dtype != np.float32 and wide.max() > 255 else max(wide.max(), 1.0)
    grey = (wide.clip(0, top) / top * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def read_ahead(paths: Iterable[Path]) -> Iterator[tuple[Path, Picture | InputError]]:
    """Each path with its picture, or with what is wrong with it; decoded a little ahead."""
    with ThreadPoolExecutor(2, thread_name_prefix="qwen3vl-read") as pool:
        waiting: deque[tuple[Path, Future[Picture]]] = deque()
        try:
            for path in paths:
                waiting.append((path, pool.submit(read_picture, path)))
                if len(waiting) > READ_AHEAD:
                    yield _result(*waiting.popleft())
            while waiting:
                yield _result(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _result(path: Path, future: Future[Picture]) -> tuple[Path, Picture | InputError]:
    try:
        return path, future.result()
    except InputError as error:
        return path, error
