"""Events and JSON objects out of bytes, and the errors in them.

Events follow the WHATWG's rules for server-sent ones, for `data` alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# May stand before the first event, and is no part of it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
        if name.removeprefix(BYTE_ORDER_MARK) == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
            if self._size > MAX_EVENT_BYTES:
                raise TooLongEventError

    def _event(self) -> str:
        data, self._data, self._size = b"\n".join(self._data), [], 0
        return data.decode("utf-8", "replace")


class BrokenAnswerError(Exception):
    """An answer that is not what the interface promises; asking again may help. Says why."""


class ToldErrorError(BrokenAnswerError):
    """The server's own error where an answer should be; its words."""


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        BrokenAnswerError: anything else; says what it looks like.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        if not data.strip():
            raise BrokenAnswerError("it is empty") from error
        kind = "a web page" if data.lstrip()[:1] == b"<" else "no whole JSON"
        raise BrokenAnswerError(f"it is {kind}") from error
    if not isinstance(value, dict):
        raise BrokenAnswerError("it is JSON of another form")
    return value


def look_for_error(data: dict[str, Any]) -> None:
    """An error is told, whatever the status was.

    Raises:
        ToldErrorError: with the server's words.
    """
    if data.get("error") and not data.get("choices"):
        raise ToldErrorError(error_text(data) or "no reason given")


def error_text(value: Any) -> str:
    """The words of a server's error, in whichever of the usual places they stand."""
    for _ in range(3):
        if isinstance(value, dict):
            value = next(
                (value[k] for k in ("error", "message", "detail", "msg") if k in value), ""
            )
        elif isinstance(value, list):
            value = value[0] if value else ""
    return " ".join(value.split()) if isinstance(value, str) else ""
