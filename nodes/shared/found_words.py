"""What was found in a picture, in words for the node's box; scripts get values beside them."""

from __future__ import annotations

from ...utils.detection.boxes import Box, Detection, Detections, Point

MOST_NAMES = 12


def found_words(found: Detections) -> str:
    """How many and what, then a line for each: its label and its place in pixels."""
    if not found.items:
        return "Nothing was found."
    names = [item.label or "unnamed" for item in found.items]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    head = f"{len(names)} found: {', '.join(names[:MOST_NAMES])}{more}"
    places = [place_words(item, found.width, found.height) for item in found.items]
    return "\n".join(
        [head, *(f"- {name} {place}" for name, place in zip(names, places, strict=True))]
    )


def place_words(item: Detection, width: int, height: int) -> str:
    """Where it is in a picture of `width` x `height` pixels."""
    if isinstance(item.shape, Point):
        x, y = item.shape.to_pixels(width, height)
        return f"at {x}, {y}"
    if isinstance(item.shape, Box):
        x1, y1, x2, y2 = item.shape.to_pixels(width, height)
        return f"at {x1}, {y1}, {x2 - x1} x {y2 - y1} pixels"
    x, y, z = item.shape.center_xyz
    return f"{z:.2f} m away, {x:+.2f} m across, {y:+.2f} m down"
