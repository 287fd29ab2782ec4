"""How far 3D boxes are: from the camera, from each other, and what of the picture they cover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .boxes import Box, Detection, Detections
from .boxes3d import Box3D, Camera

MAX_PAIRS = 15


def distance_metres(box: Box3D) -> float:
    """From the camera to the middle of the box."""
    return math.dist((0.0, 0.0, 0.0), box.center_xyz)


def nearest_first(found: Detections) -> list[tuple[Detection, Box3D]]:
    """The 3D boxes by their distance from the camera."""
    return sorted(found.boxes_3d, key=lambda pair: distance_metres(pair[1]))


def seen_box(box: Box3D, camera: Camera, width: int, height: int) -> Box | None:
    """The part of a picture of `width` x `height` pixels that a 3D box covers.

    None where a corner is behind the camera, or nothing of it is in the picture.
    """
    places = [camera.project(*corner) for corner in box.corners()]
    seen = [place for place in places if place is not None]
    if len(seen) < len(places):
        return None
    xs, ys = [x for x, _ in seen], [y for _, y in seen]
    flat = Box.from_pixels(min(xs), min(ys), max(xs), max(ys), width, height)
    return flat if flat.area > 0 else None


def as_flat_boxes(found: Detections, camera: Camera) -> Detections:
    """The 3D boxes as what they cover of the picture, nearest first, each with its distance."""
    items, notes = [], list(found.notes)
    for item, box in nearest_first(found):
        flat = seen_box(box, camera, found.width, found.height)
        if flat is None:
            notes.append(f'"{item.label[:40]}" is not in the picture, so it has no flat box')
            continue
        metres = {"distance": round(distance_metres(box), 3)}
        items.append(Detection(item.label, flat, {**item.attributes, **metres}))
    return replace(found.with_items(items), notes=tuple(notes))


def depth_order(found: Detections) -> str:
    """Lines on what is nearest, and how far the nearest things are from each other."""
    ordered = nearest_first(found)
    lines = []
    for number, (item, box) in enumerate(ordered, 1):
        side = "right" if box.x >= 0 else "left"
        lines.append(
            f"{number}. {item.label or 'unnamed'}: {distance_metres(box):.2f} m away, "
            f"{abs(box.x):.2f} m to the {side}"
        )
    return "\n".join([*lines, *_between(ordered)])


def _between(ordered: Sequence[tuple[Detection, Box3D]]) -> list[str]:
    lines = []
    for number, (one, box) in enumerate(ordered):
        for other, more in ordered[number + 1 :]:
            if len(lines) >= MAX_PAIRS:
                return lines
            metres = math.dist(box.center_xyz, more.center_xyz)
            lines.append(
                f"{one.label or 'unnamed'} to {other.label or 'unnamed'}: {metres:.2f} m "
                "between their middles"
            )
    return lines
