"""Server-sent events out of bytes, as they come (the WHATWG's rules, for `data` alone)."""

from __future__ import annotations

from dataclasses import dataclass, field

# No piece of an answer is longer.
MAX_EVENT_BYTES = 1 << 20


class TooLongEventError(ValueError):
    """An event without an end."""


@dataclass(slots=True)
class EventStream:
    """Feed it bytes; it gives the data of each event that is complete."""

    _left: bytes = b""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The events that end in this chunk.

        Raises:
            TooLongEventError: one has more than 1 MiB.
        """
        events = []
        lines = (self._left + chunk).replace(b"\r\n", b"\n").split(b"\n")
        # A chunk that ends between \r and \n must not make an empty line of its own.
        self._left = lines.pop()
        if len(self._left) + self._size > MAX_EVENT_BYTES:
            raise TooLongEventError
        for line in lines:
            if line.rstrip(b"\r"):
                self._take(line.rstrip(b"\r"))
            elif self._data:
                events.append(self._event())
        return events

    def end(self) -> list[str]:
        """An event that was complete but for its empty line."""
        if self._left:
            self._take(self._left.rstrip(b"\r"))
            self._left = b""
        return [self._event()] if self._data else []

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > MAX_EVENT_BYTES:
                raise TooLongEventError

    def _event(self) -> str:
        data, self._data, self._size = b"\n".join(self._data), [], 0
        return data.decode("utf-8", "replace")
