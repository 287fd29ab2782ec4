"""A bar with pictures per second and time left, on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """Follows the events of one prompt; `left` is how many pictures it had still to do."""

    def __init__(self, node_id: str):
        self._node_id = node_id
        self._first: tuple[float, float] | None = None  # time and pictures when the bar began
        self.left: float | None = None

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Take one message of the server about the prompt."""
        if kind == "execution_start":
            say("loading the model ...")
        if kind != "progress" or data.get("node") != self._node_id:
            return
        try:
            done, total = float(data["value"]), float(data["max"])
        except (KeyError, TypeError, ValueError):
            return
        if not 0 <= done <= total < float("inf"):
            return
        now = time.monotonic()
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        self.left = total - done
        say(bar(done, total, now - self._first[0], done - self._first[1]))


def bar(done: float, total: float, seconds: float, since: float, width: int = 30) -> str:
    """The bar as text; `since` pictures were made in the last `seconds`."""
    filled = int(width * done / total) if total else 0
    text = f"{'█' * filled}{'·' * (width - filled)} {done:.0f} of {total:.0f}"
    if seconds <= 0 or since <= 0:
        return text
    rate = since / seconds
    return f"{text}, {rate:.1f} pictures/s, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min, 5 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def say(line: str, end: str = "") -> None:
    """Write a line over the last one; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\x1b[K{end}")
        sys.stderr.flush()


def clear() -> None:
    """Leave the terminal's line empty for what is printed next."""
    say("", end="\r")
