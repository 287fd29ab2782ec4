"""One decoded frame as RGB: turned upright, square pixels, alpha on white, in its final size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..images.resize import MAX_ASPECT

# Pixel shapes beyond this are a damaged header, not a film.
_MOST_OBLONG = 4.0
_BT709, _BT2020 = 1, (9, 10)
_PQ, _HLG = 16, 18
_SMPTE240M, _DEFAULT = 7, 5
# The white of a page, in the light of an HDR film of 10,000 units (ITU-R BT.2408).
_WHITE_OF_PQ, _WHITE_OF_HLG = 203 / 10_000, 0.265


@dataclass(frozen=True, slots=True)
class Target:
    """How frames of a film are turned and sized.

    `size_wh` is upright; `turns` counts quarters against the clock.
    """

    size_wh: tuple[int, int]
    turns: int

    @classmethod
    def of(cls, frame: Any, shape: Any, fit: Callable[[int, int], tuple[int, int]]) -> Target:
        """For a film with this first frame.

        Args:
            frame: as decoded.
            shape: width by height of a pixel, or None.
            fit: gives the wanted size of an upright frame of square pixels.
        """
        width, height = upright_size_wh(frame, shape)
        return cls(fit(width, height), _turns(frame))


def upright_size_wh(frame: Any, shape: Any) -> tuple[int, int]:
    """(width, height) of a decoded frame as it is meant to be seen."""
    width, height = frame.width, frame.height
    shape = float(shape) if shape else 1.0
    if not 1 / _MOST_OBLONG <= shape <= _MOST_OBLONG:
        shape = 1.0
    if shape > 1:
        width = round(width * shape)
    elif shape < 1:
        height = round(height / shape)
    width, height = max(1, width), max(1, height)
    width, height = min(width, height * MAX_ASPECT), min(height, width * MAX_ASPECT)
    return (height, width) if _turns(frame) % 2 else (width, height)


def rgb_frame(frame: Any, target: Target) -> np.ndarray:
    """uint8 [height, width, 3] of the target's size."""
    width, height = target.size_wh[::-1] if target.turns % 2 else target.size_wh
    kind = "rgba" if _has_alpha(frame) else "rgb48le" if _is_hdr(frame) else "rgb24"
    small = frame.reformat(
        width=width, height=height, format=kind, interpolation="BICUBIC", **_colours(frame)
    )
    pixels = small.to_ndarray()
    if kind == "rgba":
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    elif kind == "rgb48le":
        pixels = _to_sdr(pixels, frame.color_trc)
    return np.ascontiguousarray(np.rot90(pixels, target.turns))


def _colours(frame: Any) -> dict[str, int]:
    """The matrix that a film names; one that names none is read as ComfyUI reads it.

    Both sides are named: PyAV 14 takes the source's for the other where that is left open.
    """
    space = _BT2020[0] if frame.colorspace in _BT2020 else frame.colorspace
    if space not in (_BT709, _SMPTE240M, _BT2020[0]):
        return {}
    return {"src_colorspace": space, "dst_colorspace": _DEFAULT}


def _turns(frame: Any) -> int:
    return round(getattr(frame, "rotation", 0) / 90) % 4


def _has_alpha(frame: Any) -> bool:
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


def _is_hdr(frame: Any) -> bool:
    return getattr(frame, "color_trc", 0) in (_PQ, _HLG)


def _to_sdr(pixels: np.ndarray, curve: int) -> np.ndarray:
    """HDR colours as a screen shows them: white stays white, what is brighter is held below it."""
    signal = pixels.astype(np.float32) / 65535.0
    light = _from_pq(signal) / _WHITE_OF_PQ if curve == _PQ else _from_hlg(signal) / _WHITE_OF_HLG
    # BT.2020 primaries to those of sRGB.
    matrix = np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
        np.float32,
    )
    light = np.maximum(light @ matrix.T, 0.0)
    bright = light.max(-1, keepdims=True)
    # Linear up to three quarters of white, then ever slower towards it.
    knee = 0.75
    held = np.where(
        bright > knee, knee + (1 - knee) * np.tanh((bright - knee) / (1 - knee)), bright
    )
    light = light * held / np.maximum(bright, 1e-6)
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return (np.clip(srgb, 0.0, 1.0) * 255.0).round().astype(np.uint8)


def _from_pq(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: light as a fraction of 10,000 cd/m2."""
    root = np.power(signal, 1 / 78.84375)
    return np.power(
        np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125
    )


def _from_hlg(signal: np.ndarray) -> np.ndarray:
    """ARIB STD-B67: light of the scene, 0 to 1."""
    high = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12.0
    return np.where(signal <= 0.5, signal * signal / 3.0, high)
