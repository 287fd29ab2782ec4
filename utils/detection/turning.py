"""Pictures that stand turned: upright for the model, and its places back on the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..images.picture import Picture
from .boxes import Box, Detections, Point

DEGREES = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True)
class Rotation:
    """How far a picture has been turned clockwise from upright: 0, 90, 180 or 270 degrees."""

    degrees: int = 0

    def __post_init__(self) -> None:
        if self.degrees not in DEGREES:
            raise InputError(
                f"A picture that is turned by {self.degrees} degrees is not known.",
                "Use 0, 90, 180 or 270.",
            )

    def upright(self, picture: Picture) -> Picture:
        """The picture turned back; the same object if there is nothing to turn."""
        if not self.degrees:
            return picture
        # numpy turns counter-clockwise, which is back.
        turned = np.rot90(picture.pixels, self.degrees // 90)
        return Picture(np.ascontiguousarray(turned))

    def places_on(self, picture: Picture, found: Detections) -> Detections:
        """What was found on the upright picture, on the picture as it is."""
        width, height = picture.size_wh
        items = []
        for item in found.items:
            shape = item.shape
            if isinstance(shape, Box):
                (x1, y1), (x2, y2) = self._back(shape.x1, shape.y1), self._back(shape.x2, shape.y2)
                shape = Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            elif isinstance(shape, Point):
                shape = Point(*self._back(shape.x, shape.y))
            items.append(replace(item, shape=shape))
        return replace(found, width=width, height=height, items=tuple(items))

    def _back(self, x: float, y: float) -> tuple[float, float]:
        """A place on the upright picture, in fractions, on the turned one."""
        return {0: (x, y), 90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[self.degrees]
