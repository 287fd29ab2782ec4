"""Boxes in space and how a camera sees them.

Source of the conventions: Qwen3-VL cookbook "3d_grounding": camera frame with x to the right, y
down, z forward, metres, angles written in units of pi and applied about x, then y, then z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

# The official drawing code reads pitch, yaw, roll; the official prompt says roll, pitch, yaw.
AngleOrder = Literal["pitch_yaw_roll", "roll_pitch_yaw"]
ANGLE_ORDERS: tuple[AngleOrder, ...] = ("pitch_yaw_roll", "roll_pitch_yaw")
DEFAULT_FIELD_OF_VIEW = 60.0
# No room is a hundred kilometres deep; beyond it, products of the projection overflow.
MAX_METRES = 1e5
# Corners nearer than this have no useful place in the picture (and a division by them explodes).
NEAREST_METRES = 1e-3

# Corners are numbered by the signs of (x, y, z) as bits 4, 2, 1, + first; edges differ in one.
_SIGNS = tuple((x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1))
EDGES = tuple((a, b) for a in range(8) for b in range(a + 1, 8) if a ^ b in (1, 2, 4))


@dataclass(frozen=True, slots=True)
class Box3D:
    """A box in the camera frame: centre and sizes in metres, angles in radians.

    `pitch` turns about x, then `yaw` about y, then `roll` about z.
    """

    x: float
    y: float
    z: float
    x_size: float
    y_size: float
    z_size: float
    pitch: float
    yaw: float
    roll: float

    def __post_init__(self) -> None:
        values = (*self.center_xyz, *self.size_xyz, self.pitch, self.yaw, self.roll)
        if not all(math.isfinite(v) and abs(v) <= MAX_METRES for v in values):
            raise InputError(
                f"A 3D box with {', '.join(map(str, values))} cannot be placed.",
                f"Give finite metres and angles up to {MAX_METRES:g}.",
            )
        if min(self.size_xyz) < 0:
            raise InputError(
                f"A 3D box has the sizes {self.size_xyz}.", "Give sizes of 0 metres or more."
            )

    @classmethod
    def from_qwen(cls, values: Sequence[float], order: AngleOrder = "pitch_yaw_roll") -> Box3D:
        """From `bbox_3d`: [x, y, z, x_size, y_size, z_size, three angles in units of pi]."""
        if len(values) != 9:
            raise InputError(
                f"A 3D box has 9 numbers, but this one has {len(values)}.", "Ask again."
            )
        first, second, third = (value * math.pi for value in values[6:])
        if order == "roll_pitch_yaw":
            first, second, third = second, third, first
        x, y, z, x_size, y_size, z_size = values[:6]
        return cls(x, y, z, x_size, y_size, z_size, first, second, third)

    def to_qwen(self, order: AngleOrder = "pitch_yaw_roll") -> list[float]:
        """The 9 numbers of `bbox_3d`, rounded to what a model would write (1/1000)."""
        angles = (self.pitch, self.yaw, self.roll)
        if order == "roll_pitch_yaw":
            angles = (self.roll, self.pitch, self.yaw)
        values = (*self.center_xyz, *self.size_xyz, *(angle / math.pi for angle in angles))
        return [round(value, 3) for value in values]

    @property
    def center_xyz(self) -> tuple[float, float, float]:
        """(x, y, z) in metres."""
        return self.x, self.y, self.z

    @property
    def size_xyz(self) -> tuple[float, float, float]:
        """(x_size, y_size, z_size) in metres, before turning."""
        return self.x_size, self.y_size, self.z_size

    def corners(self) -> list[tuple[float, float, float]]:
        """The 8 corners (x, y, z) in metres, in the order that `EDGES` counts them."""
        half = [size / 2 for size in self.size_xyz]
        corners = []
        for signs in _SIGNS:
            turned = self._turn(*(sign * side for sign, side in zip(signs, half, strict=True)))
            x, y, z = (t + c for t, c in zip(turned, self.center_xyz, strict=True))
            corners.append((x, y, z))
        return corners

    def _turn(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        y, z = y * cos - z * sin, y * sin + z * cos
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x, z = x * cos + z * sin, z * cos - x * sin
        cos, sin = math.cos(self.roll), math.sin(self.roll)
        return x * cos - y * sin, x * sin + y * cos, z


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera: focal lengths `fx`, `fy` and centre `cx`, `cy`, all in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, values)) or self.fx <= 0 or self.fy <= 0:
            raise InputError(
                f"A camera with fx {self.fx}, fy {self.fy}, cx {self.cx}, cy {self.cy} sees "
                "nothing.",
                "Give focal lengths above 0 pixels.",
            )

    @classmethod
    def from_field_of_view(
        cls, width: int, height: int, degrees: float = DEFAULT_FIELD_OF_VIEW
    ) -> Camera:
        """The official guess without intrinsics: the same angle across both sides."""
        if not 0 < degrees < 180:
            raise InputError(
                f"A field of view of {degrees} degrees is impossible.",
                "Choose one between 1 and 179; 60 is usual.",
            )
        half = math.tan(math.radians(degrees) / 2)
        return cls(width / (2 * half), height / (2 * half), width / 2, height / 2)

    def project(self, x: float, y: float, z: float) -> tuple[float, float] | None:
        """Pixels (x, y) of a place in metres; None behind the camera or too near to it."""
        if z < NEAREST_METRES:
            return None
        return self.fx * x / z + self.cx, self.fy * y / z + self.cy


def projected_edges(
    box: Box3D, camera: Camera
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The visible edges as pairs of pixel (x, y), not cut at the picture's border.

    An edge with a corner behind the camera is left out, as in the official drawing code.
    """
    seen = [camera.project(*corner) for corner in box.corners()]
    pairs = ((seen[a], seen[b]) for a, b in EDGES)
    return [(start, end) for start, end in pairs if start is not None and end is not None]
