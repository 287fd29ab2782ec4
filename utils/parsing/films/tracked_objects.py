"""A model's answer about a thing in every frame into `Sightings`.

Format: `[{"time": 1.0, "bbox_2d": [x1, y1, x2, y2], "label": "…"}, …]`, coordinates 0 to 1000.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...detection.boxes import Detection
from ...video.timeline import Sighting, Sightings
from ...video.timestamps import read_seconds
from ..detections import parse_detections

_TIME_KEYS = ("time", "timestamp", "seconds", "second", "t", "at")


def parse_sightings(text: str, width: int, height: int) -> Sightings:
    """What an answer sees at which second of a film of `width` x `height` pixels.

    An item without a time that can be read is left out, and noted.

    Raises:
        ParseError: the answer names places, but none of them can be read.
    """
    found = parse_detections(text, width, height)
    items: list[Sighting] = []
    timeless = 0
    for thing in found.items:
        key, seconds = _time_of(thing.attributes)
        if seconds is None:
            timeless += 1
            continue
        others = {name: value for name, value in thing.attributes.items() if name != key}
        items.append(Sighting(seconds, Detection(thing.label, thing.shape, others)))
    notes = list(found.notes)
    if timeless:
        notes.append(f"{timeless} left out, they have no time")
    return Sightings(tuple(items), found.truncated, found.repaired, tuple(notes))


def _time_of(attributes: Mapping[str, Any]) -> tuple[str, float | None]:
    for key in _TIME_KEYS:
        if key in attributes:
            return key, read_seconds(attributes[key])
    return "", None
