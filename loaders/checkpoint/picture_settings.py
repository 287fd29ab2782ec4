"""Checks the settings of a checkpoint's picture processors before one is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import IncompleteError
from .architecture import VisionShape

# File to the part of it that is about pictures; transformers 5 writes all into one.
PLACES = (
    ("preprocessor_config.json", None),
    ("video_preprocessor_config.json", None),
    ("processor_config.json", "image_processor"),
    ("processor_config.json", "video_processor"),
)
MOST_PIXELS = 1 << 40


def check_pictures(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], vision: VisionShape
) -> None:
    """The sizes are those of the vision tower, the edges are some, the colours three.

    Raises:
        IncompleteError: naming the file and the setting.
    """
    for name, part in PLACES:
        settings: Any = configs.get(name, {})
        settings = settings if part is None else settings.get(part, {})
        if reason := _why_wrong(settings, vision):
            raise IncompleteError(f"{folder / name}: {reason}.", "Download this file again.")


def _why_wrong(settings: Any, vision: VisionShape) -> str | None:
    if not isinstance(settings, dict):
        return "it is no object"
    sizes = {
        "patch_size": vision.patch,
        "temporal_patch_size": vision.temporal_patch,
        "merge_size": vision.merge,
    }
    for key, right in sizes.items():
        if settings.get(key, right) != right:
            return f"{key} is {str(settings[key])[:40]}, but the vision tower's is {right}"
    for key in ("image_mean", "image_std"):
        if not _is_color(settings.get(key), zero=key == "image_mean"):
            return f"{key} is {str(settings[key])[:40]}, not three numbers"
    size = settings.get("size")
    return None if size is None else _why_no_size(size)


def _is_color(value: Any, zero: bool) -> bool:
    if value is None:
        return True
    numbers = isinstance(value, list) and all(type(n) in (int, float) for n in value)
    return numbers and len(value) == 3 and all(0 <= n < 1e6 and (zero or n) for n in value)


def _why_no_size(size: Any) -> str | None:
    edges = [size.get(edge) for edge in ("shortest_edge", "longest_edge")] if (
        isinstance(size, dict)
    ) else []  # fmt: skip
    numbers = [n for n in edges if type(n) is int and 0 < n <= MOST_PIXELS]
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        return (
            f"size is {str(size)[:60]}, not the fewest and most pixels as shortest_edge and "
            "longest_edge"
        )
    return None
