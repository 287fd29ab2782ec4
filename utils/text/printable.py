"""Makes any text fit to be shown, drawn, logged or written: one place for all of it."""

from __future__ import annotations

import unicodedata

# Unicode categories: control characters, halves of surrogate pairs, line and paragraph ends.
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
# Signs that turn the direction of what follows: "gpj.exe" can look like "exe.jpg" after one.
# Source: unicode.org/reports/tr9, the marks, embeddings, overrides and isolates.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_text(text: str) -> str:
    """The text without halves of surrogate pairs, which no file or socket can carry."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def on_one_line(text: str) -> str:
    """What a name may hold and no line can show, escaped: line breaks, control and direction
    characters, and bytes that are no text.
    """
    if text.isprintable():
        return text
    return "".join(ascii(char)[1:-1] if _is_unshown(char) else char for char in text)


def _is_unshown(char: str) -> bool:
    return char in _DIRECTIONS or unicodedata.category(char) in _NO_TEXT


def clean_label(label: str, longest: int) -> str:
    """One line of visible characters, shortened with an ellipsis."""
    # Only the beginning is looked at: a label may be as long as a page.
    start = label[: 4 * longest]
    visible = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in start)
    line = " ".join(visible.split())
    if len(line) > longest or len(label) > len(start):
        return line[: longest - 1].rstrip() + "\u2026"
    return line
