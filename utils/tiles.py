"""Looking at a large picture piece by piece, and putting what was found together again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .chat import Picture
from .geometry import Box, Detection, Detections

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


def put_together(
    whole: Detections, tiles: Sequence[Box], parts: Iterable[Detections]
) -> Detections:
    """What was found in the whole picture and in its tiles, each thing once.

    Deterministic: the picture as a whole comes first, then the tiles in order; of two boxes of
    one thing and one label the larger stays, in the earlier one's place.
    """
    found = [item for item in whole.items if isinstance(item.shape, Box)]
    others = [item for item in whole.items if not isinstance(item.shape, Box)]
    truncated, repaired, notes = whole.truncated, whole.repaired, list(whole.notes)
    for number, (tile, part) in enumerate(zip(tiles, parts, strict=True), 1):
        pixels = tile.to_pixels(whole.width, whole.height)
        for item, box in part.boxes:
            moved = _moved(box, pixels, whole.width, whole.height)
            _add(found, replace(item, shape=moved))
        truncated |= part.truncated
        repaired |= part.repaired
        notes.extend(f"tile {number}: {note}" for note in part.notes)
    items = (*found, *others)
    return Detections(whole.width, whole.height, items, truncated, repaired, tuple(notes))


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


def _add(found: list[Detection], new: Detection) -> None:
    for place, old in enumerate(found):
        if old.label == new.label and _same_thing(old, new):
            if _area(new) > _area(old):
                found[place] = new
            return
    found.append(new)


def _same_thing(one: Detection, other: Detection) -> bool:
    if not isinstance(one.shape, Box) or not isinstance(other.shape, Box):
        return False
    smaller = min(one.shape.area, other.shape.area)
    inside = one.shape.intersection(other.shape) / smaller if smaller > 0 else 0.0
    return one.shape.iou(other.shape) > SAME_IOU or inside > PART_INSIDE


def _area(item: Detection) -> float:
    return item.shape.area if isinstance(item.shape, Box) else 0.0
