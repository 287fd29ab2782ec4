"""Looking at a large picture piece by piece, and putting what was found together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..images.picture import Picture
from .boxes import Box, Detection, Detections
from .overlap import KeptBoxes

Value = TypeVar("Value")

# How far neighbours reach into each other, as a part of a tile: what one tile cuts, the next
# one shows whole, up to this size.
OVERLAP = 0.2
# Two boxes of one thing: they overlap this much, or one is mostly inside the other, as a part
# that a tile's edge cut off is inside the whole.
SAME_IOU = 0.5
PART_INSIDE = 0.8


def tiles_of(columns: int, rows: int) -> list[Box]:
    """The tiles of a grid, row by row, overlapping, together the whole picture."""
    spans_x, spans_y = _spans(columns), _spans(rows)
    return [Box(x1, y1, x2, y2) for y1, y2 in spans_y for x1, x2 in spans_x]


def cut_out(picture: Picture, tile: Box) -> Picture:
    """The tile as a picture of its own."""
    x1, y1, x2, y2 = tile.to_pixels(*picture.size_wh)
    return Picture(picture.pixels[y1:y2, x1:x2].copy())


@dataclass(frozen=True, slots=True)
class Glance:
    """One thing to be asked about: picture number `index`, whole or a tile; `name` says which."""

    picture: Picture
    index: int
    name: str


def looks_at(pictures: Sequence[Picture], tiles: Sequence[Box]) -> list[Glance]:
    """Every picture, then the tiles of each: so a picture's seed is the same without tiles."""
    count = len(pictures)
    called = [f"Image {number} of {count}" for number in range(1, count + 1)]
    wholes = [Glance(picture, n, called[n]) for n, picture in enumerate(pictures)]
    return wholes + [
        Glance(cut_out(picture, tile), n, f"{called[n]}, tile {number}")
        for n, picture in enumerate(pictures)
        for number, tile in enumerate(tiles, 1)
    ]


def by_picture(looks: Sequence[Glance], values: Sequence[Value]) -> list[list[Value]]:
    """What came of each look, together for each picture: the whole one first."""
    groups: dict[int, list[Value]] = {}
    for look, value in zip(looks, values, strict=True):
        groups.setdefault(look.index, []).append(value)
    return list(groups.values())


def put_together(
    whole: Detections, tiles: Sequence[Box], parts: Sequence[Detections]
) -> Detections:
    """What was found in the whole picture and in its tiles, each thing once.

    Deterministic: the picture as a whole comes first, then the tiles in order; of two boxes of
    one thing and one label the larger stays, in the earlier one's place.
    """
    found = list(whole.items)
    room = len(found) + sum(len(part.items) for part in parts)
    kept = KeptBoxes(room)
    # Where in `found` each kept box stands; points and 3D boxes stand between them.
    places = [place for place, item in enumerate(found) if isinstance(item.shape, Box)]
    for item, box in whole.boxes:
        kept.add(box, item.label)
    truncated, repaired, notes = whole.truncated, whole.repaired, list(whole.notes)
    for number, (tile, part) in enumerate(zip(tiles, parts, strict=True), 1):
        pixels = tile.to_pixels(whole.width, whole.height)
        for item, box in part.boxes:
            moved = _moved(box, pixels, whole.width, whole.height)
            same = _same_thing(kept, moved, item.label)
            if same is None:
                kept.add(moved, item.label)
                places.append(len(found))
                found.append(replace(item, shape=moved))
            elif moved.area > _area(found[places[same]]):
                kept.replace(same, moved)
                found[places[same]] = replace(item, shape=moved)
        truncated |= part.truncated
        repaired |= part.repaired
        notes.extend(f"tile {number}: {note}" for note in part.notes)
    return Detections(whole.width, whole.height, tuple(found), truncated, repaired, tuple(notes))


def _spans(count: int) -> list[tuple[float, float]]:
    """`count` overlapping spans that together are 0..1."""
    length = 1 / (count - OVERLAP * (count - 1))
    step = length * (1 - OVERLAP)
    spans = [(n * step, n * step + length) for n in range(count)]
    return [(min(1.0, start), min(1.0, end)) for start, end in spans[:-1]] + [(spans[-1][0], 1.0)]


def _moved(box: Box, tile: tuple[int, int, int, int], width: int, height: int) -> Box:
    """A box in fractions of a tile of (x1, y1, x2, y2) pixels, in those of the picture."""
    left, top, right, bottom = tile
    return Box.from_pixels(
        left + box.x1 * (right - left),
        top + box.y1 * (bottom - top),
        left + box.x2 * (right - left),
        top + box.y2 * (bottom - top),
        width,
        height,
    )


def _same_thing(kept: KeptBoxes, box: Box, label: str) -> int | None:
    """The first kept box of the same thing."""
    iou, inside = kept.overlaps(box, label)
    same = np.flatnonzero((iou > SAME_IOU) | (inside > PART_INSIDE))
    return int(same[0]) if same.size else None


def _area(item: Detection) -> float:
    return item.shape.area if isinstance(item.shape, Box) else 0.0
