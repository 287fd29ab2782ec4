"""Breaks a text into lines that fit a width in pixels."""

from __future__ import annotations

import unicodedata

from .fonts import LabelFont

ELLIPSIS = "\u2026"
# East Asian wide and full-width characters: a line may end at each of them.
_WIDE = ("W", "F")


def wrapped(text: str, font: LabelFont, width: int, most: int) -> list[str]:
    """The text in at most `most` lines of at most `width` pixels; the last ends in an ellipsis
    where there would be more.

    A line ends at a space or at a Chinese, Japanese or Korean character; a longer word is cut.
    """
    lines, rest = [], text.strip()
    while rest and len(lines) < most:
        # The last line is filled: what follows it is left out anyway.
        count = _fitting(rest, font, width, break_words=len(lines) == most - 1)
        lines.append(rest[:count].rstrip())
        rest = rest[count:].lstrip()
    if rest and lines:
        last = lines[-1]
        while last and text_width(last + ELLIPSIS, font) > width:
            last = last[:-1].rstrip()
        lines[-1] = last + ELLIPSIS
    return lines


def text_width(text: str, font: LabelFont) -> int:
    """How many pixels wide the text is on one line."""
    left, _, right, _ = font.bounds(text)
    return right - min(left, 0)


def _fitting(text: str, font: LabelFont, width: int, break_words: bool) -> int:
    """How many characters make the first line; at least one, so that there is an end."""
    low, high = 1, len(text)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        if text_width(text[:middle], font) <= width:
            low = middle
        else:
            high = middle - 1
    if low == len(text) or break_words:
        return low
    return next((at for at in range(low, 0, -1) if _may_break(text, at)), low)


def _may_break(text: str, at: int) -> bool:
    """Whether a line may end before the character number `at`."""
    if text[at].isspace():
        return True
    sides = (unicodedata.east_asian_width(char) for char in text[at - 1 : at + 1])
    # No line begins with a full stop or a comma.
    return any(side in _WIDE for side in sides) and unicodedata.category(text[at])[0] != "P"
