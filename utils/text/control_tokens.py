"""Control tokens that a user typed: they must not become any, on whatever a text is read."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"<\|(\w+)\|>")


def defused(text: str) -> str:
    """The text with "<|im_end|>" written as "<| im_end |>", which no tokenizer takes for one."""
    return _CONTROL.sub(r"<| \1 |>", text)
