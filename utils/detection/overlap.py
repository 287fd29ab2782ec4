"""Which of many boxes overlap one, all at once: an answer may hold thousands."""

from __future__ import annotations

import numpy as np

from .boxes import Box


class KeptBoxes:
    """Boxes kept so far, each with its label, and how much a new one overlaps each of them."""

    def __init__(self, room: int):
        # A row each for x1, y1, x2, y2 and area: whole rows are quick to compare.
        self._rows = np.zeros((5, room))
        self._labels = np.zeros(room, np.int64)
        self._numbers: dict[str, int] = {}
        self.count = 0

    def add(self, box: Box, label: str) -> None:
        """Keep a box; there is room for as many as were announced."""
        self._labels[self.count] = self._number(label)
        self.replace(self.count, box)
        self.count += 1

    def replace(self, place: int, box: Box) -> None:
        """Another box in the place of one that was kept."""
        self._rows[:, place] = (*box.xyxy, box.area)

    def overlaps(self, box: Box, label: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """How much `box` and each kept box overlap, two arrays of `count` numbers 0..1.

        The first is intersection over union, the second intersection over the smaller box; 0
        for boxes with another label than `label`, if one is given.
        """
        x1, y1, x2, y2, areas = self._rows[:, : self.count]
        width = np.minimum(x2, box.x2) - np.maximum(x1, box.x1)
        height = np.minimum(y2, box.y2) - np.maximum(y1, box.y1)
        both = np.where((width > 0) & (height > 0), width * height, 0.0)
        if label is not None:
            both *= self._labels[: self.count] == self._number(label)
        return (
            _divided(both, areas + box.area - both),
            _divided(both, np.minimum(areas, box.area)),
        )

    def _number(self, label: str) -> int:
        return self._numbers.setdefault(label, len(self._numbers))


def _divided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
