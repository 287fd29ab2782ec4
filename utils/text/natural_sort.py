"""The order in which a person sorts names: numbers by their value."""

import re


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts "img2" before "img10"; the name itself decides between equals."""
    pieces = re.findall(r"\d+|\D+", name.casefold())
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces] + [(2, 0, name)]
