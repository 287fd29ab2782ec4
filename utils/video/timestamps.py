"""Seconds as people and models write them: `01:02.50`, `1:00:02`, `62.5 s`; read and written."""

from __future__ import annotations

import math
import re

# Beyond this nobody films, and a number that large is no time.
MAX_SECONDS = 1_000_000.0
_CLOCK = re.compile(r"(?:(\d{1,4})\s*:\s*)?(\d{1,4})\s*:\s*(\d{1,2}(?:[.,]\d{1,6})?)")
# Hours, minutes, seconds and frames or hundredths, as editors write them.
_FOUR_FIELDS = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2})[:;](\d{1,2})")
_PLAIN = re.compile(
    r"(?:(\d{1,4})\s*(?:h|hours?)\s*)?(?:(\d{1,5})\s*(?:m|mins?|minutes?)\s*)?"
    r"(?:(\d{1,7}(?:[.,]\d{1,6})?)\s*(?:s|secs?|seconds?|\u79d2)?)?",
    re.IGNORECASE,
)


def read_seconds(text: object) -> float | None:
    """A time of an answer in seconds; None for what is no time, or lies outside 0 to 1,000,000.

    Numbers are seconds. A text may be `mm:ss`, `mm:ss.ff`, `hh:mm:ss`, `hh:mm:ss,fff`,
    `12.5`, `12.5 s` or `1m 20s`.
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, (int, float)):
        # Compared before it becomes a float: an answer may hold an integer of thousands of digits.
        return float(text) if 0 <= text <= MAX_SECONDS else None
    if not isinstance(text, str) or len(text) > 40:
        return None
    word = text.strip().strip("<>[]()\"'").strip()
    seconds = _clock_seconds(word)
    if seconds is None:
        seconds = _plain_seconds(word)
    return seconds if seconds is not None and seconds <= MAX_SECONDS else None


def _clock_seconds(word: str) -> float | None:
    if match := _FOUR_FIELDS.fullmatch(word):
        hours, minutes, seconds, _ = map(int, match.groups())  # frames of an unknown rate: dropped
        return float(hours * 3600 + minutes * 60 + seconds)
    if not (match := _CLOCK.fullmatch(word)):
        return None
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def _plain_seconds(word: str) -> float | None:
    match = _PLAIN.fullmatch(word)
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60
    return whole + float((seconds or "0").replace(",", "."))


def last_pair_as_hundredths(text: object) -> float | None:
    """`mm:ss:ff` in seconds, as models write it that meant `mm:ss.ff`; None for any other form."""
    if not isinstance(text, str) or len(text) > 40:
        return None
    match = re.fullmatch(r"\s*(\d{1,3}):(\d{1,2}):(\d{2})\s*", text)
    if not match:
        return None
    minutes, seconds, hundredths = map(int, match.groups())
    return minutes * 60 + seconds + hundredths / 100


def clock(seconds: float) -> str:
    """`mm:ss.ff`, the form that Qwen3-VL is asked for; minutes go on beyond 59."""
    hundredths = _units(seconds, 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def long_clock(seconds: float, decimal: str = ".") -> str:
    """`hh:mm:ss.fff`, as VTT has it; SRT has a comma before the thousandths."""
    ms = _units(seconds, 1000)
    hours, minutes = ms // 3_600_000, ms // 60_000 % 60
    return f"{hours:02d}:{minutes:02d}:{ms // 1000 % 60:02d}{decimal}{ms % 1000:03d}"


def _units(seconds: float, each: int) -> int:
    if not math.isfinite(seconds):
        raise ValueError(f"{seconds} is no time")
    return max(0, round(seconds * each))
