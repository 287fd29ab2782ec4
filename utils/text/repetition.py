"""Notices a reply that repeats itself without end."""

from __future__ import annotations

from collections.abc import Sequence

# A repeated unit of up to this many tokens is looked for (a list item, a sentence) ...
MAX_PERIOD = 128
# ... and called endless after so many tokens of nothing else. Long honest lists of similar
# items differ in a number or a word; 512 exact tokens in a row do not happen in them.
MIN_SPAN = 512


def is_endless(tokens: Sequence[int]) -> bool:
    """Whether the last 512 tokens or more are one unit of 1 to 128 tokens, repeated."""
    if len(tokens) < MIN_SPAN:
        return False
    tail = list(tokens[-MIN_SPAN:])
    # The last token is compared first: it rules out nearly every period without a copy.
    return any(
        tail[-1] == tail[-1 - period] and tail[period:] == tail[:-period]
        for period in range(1, MAX_PERIOD + 1)
    )
