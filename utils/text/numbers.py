"""Numbers in what a model or another pack wrote."""

from __future__ import annotations

import math
from typing import Any


def to_number(value: Any) -> float | None:
    """A finite number from a JSON number or a string that is one; otherwise None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
