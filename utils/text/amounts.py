"""Amounts in words: bytes as people say them."""

from __future__ import annotations

GB = 1e9


def amount(size_bytes: float) -> str:
    """Bytes in words: GB, or MB for what is small."""
    if size_bytes < GB / 10:
        return f"{size_bytes / 1e6:.1f} MB"
    return f"{size_bytes / GB:.{2 if size_bytes < 100 * GB else 0}f} GB"
