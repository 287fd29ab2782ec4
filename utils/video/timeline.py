"""What happens when in a film: events, and things seen at moments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .timestamps import clock


@dataclass(frozen=True, slots=True)
class Event:
    """What happens from `start` to `end`, in seconds of the film; a moment where they are equal."""

    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.end) and 0 <= self.start <= self.end):
            raise InputError(
                f"An event lasts from {self.start} to {self.end} s.",
                "Give seconds from 0 up, the end not before the start.",
            )

    @property
    def middle(self) -> float:
        """The second half way between start and end."""
        return (self.start + self.end) / 2

    @property
    def when(self) -> str:
        """Start and end as `mm:ss.ff - mm:ss.ff`."""
        return f"{clock(self.start)} - {clock(self.end)}"


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one answer in its order.

    `truncated`: the answer was cut off, later events are missing. `repaired`: it was not JSON of
    the form asked for. `notes` say what was changed or left out.
    """

    items: tuple[Event, ...] = ()
    truncated: bool = False
    repaired: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.items)

    def to_json_values(self) -> list[dict[str, Any]]:
        """For the wire: `[{"start": 1.0, "end": 3.5, "text": "…"}, …]`, seconds."""
        return [
            {"start": round(e.start, 3), "end": round(e.end, 3), "text": e.text} for e in self.items
        ]
