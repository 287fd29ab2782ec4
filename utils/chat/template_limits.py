"""Counts what a chat template uses up, and refuses what would be too much before it is made."""

from __future__ import annotations

import re
import time
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.utils import Namespace

# A million tokens are about four million characters.
MOST_TEXT = 16_000_000
MOST_ITEMS = 200_000
# Rounds of loops and calls. The official template needs a few for each message.
MOST_STEPS = 1_000_000
MOST_SECONDS = 2.0
# Widths, counts and indents; powers are of such numbers too.
MOST_NUMBER = 10_000
MOST_BITS = 4096
CONTAINERS = (list, tuple, set, frozenset, dict, KeysView, ValuesView, ItemsView)


class OverLimitError(Exception):
    """A template that wants more time or memory than any chat needs."""


class _Spent:
    """What one rendering has used up."""

    def __init__(self) -> None:
        self.steps, self.until = 0, time.thread_time() + MOST_SECONDS


_spent: ContextVar[_Spent] = ContextVar("spent")


@contextmanager
def counting() -> Iterator[None]:
    """Begin at nothing, for one rendering."""
    token = _spent.set(_Spent())
    try:
        yield
    finally:
        _spent.reset(token)


def _spend(steps: int) -> None:
    spent = _spent.get()
    spent.steps += steps
    if spent.steps > MOST_STEPS or time.thread_time() > spent.until:
        raise OverLimitError("it goes on without end")


def _check_text(characters: int) -> None:
    if characters > MOST_TEXT:
        raise OverLimitError(f"it makes a text of {characters:,} characters")


def measured(value: Any) -> Any:
    """The value itself, where what is in it, each time it occurs, is not too much."""
    if isinstance(value, str):
        _check_text(len(value))
        return value
    items, text, pending = 0, 0, [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Namespace):
            one = one._Namespace__attrs  # type: ignore[attr-defined] - shown with all in it
        if isinstance(one, str):
            text += len(one)
        elif isinstance(one, CONTAINERS):
            items += len(one)
            if items > MOST_ITEMS:
                raise OverLimitError(f"it makes a list of more than {MOST_ITEMS:,} things")
            pending += one if not isinstance(one, dict) else [*one.keys(), *one.values()]
    _check_text(text)
    return value


def check_call(name: str, values: tuple[Any, ...], named: dict[str, Any]) -> None:
    """What a function, method or filter of this name would make of these values."""
    _spend(1)
    everything = [*values, *named.values()]
    for value in everything:
        if isinstance(value, (str, *CONTAINERS)):
            measured(value)
    numbers = [abs(n) for n in everything if isinstance(n, int)]
    texts = [t for t in everything if isinstance(t, str)]
    if any(n > MOST_NUMBER for n in numbers):
        raise OverLimitError(f"it calls {name} with the number {max(numbers):,}")
    if numbers and texts and name != "range":
        _check_text(max(numbers) * (1 + sum(t.count("\n") for t in texts)) * len(texts))
    if name == "replace" and len(texts) >= 3:
        _check_text(len(texts[0]) + (texts[0].count(texts[1]) + 1) * len(texts[2]))
    if name == "join":
        glue = sum(map(len, texts))
        _check_text(sum(len(v) for v in everything if isinstance(v, CONTAINERS)) * (glue + 1))
    if name == "strftime_now" and any(re.search(r"\d\d", t) or len(t) > 200 for t in texts):
        raise OverLimitError("it wants a date of unknown length")


def check_operator(operator: str, left: Any, right: Any) -> None:
    """Refuse a sum, product, power or format that would make too much."""
    _spend(1)
    sizes = [len(v) for v in (left, right) if isinstance(v, str | list | tuple)]
    numbers = [v for v in (left, right) if isinstance(v, int)]
    if operator == "%" and isinstance(left, str):
        raise OverLimitError("it formats a text, which nobody can count")
    if operator == "**" and any(abs(n) > MOST_NUMBER for n in numbers):
        raise OverLimitError("it makes a power of a large number")
    bits = [n.bit_length() for n in numbers]
    if operator == "**" and len(bits) == 2 and bits[0] * abs(right) > MOST_BITS:
        raise OverLimitError("it makes a power of a large number")
    if operator == "*" and (
        sum(bits) > MOST_BITS or (sizes and sizes[0] * max(0, *numbers, 0) > MOST_ITEMS)
    ):
        raise OverLimitError("it multiplies without end")
    if operator == "+":
        _check_text(sum(sizes))


def looped(values: Any) -> Any:
    """What a loop goes over, each round counted."""
    if hasattr(values, "__len__"):
        _spend(len(values))
        return values
    return _each(values)


def _each(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _spend(1)
        yield value


def joined(parts: Iterable[Any]) -> str:
    """One text of many values, counted before it is made."""
    size, texts = 0, []
    for part in parts:
        texts.append(str(measured(part)))
        size += len(texts[-1])
        _check_text(size)
    return "".join(texts)
