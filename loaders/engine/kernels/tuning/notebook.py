"""The small file in which choices are kept, by card: the same blocks, and so the same answers, at
every start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .....utils.files.atomic_write import write_whole
from .candidates import Blocks

BLOCKS_FILE = "qwen3vl_blocks.json"
VERSION = 1
MAX_BYTES = 4_000_000
# Of cards that are no longer there, and of drivers and Tritons that were replaced.
MOST_CARDS = 8


class Notebook:
    """Choices at `path`, which nobody has to keep: what cannot be read is chosen anew."""

    def __init__(self, path: Path):
        self.path = path

    def read(self, card: str) -> Mapping[str, Blocks]:
        """What was chosen on a card, by question; nothing where there is no such file."""
        return self._cards().get(card, {})

    def add(self, card: str, new: Mapping[str, Blocks]) -> None:
        """Write choices beside those that are there, which stay: another process made them.

        Raises:
            OSError: it cannot be written; what was there is unchanged.
        """
        cards = self._cards()
        cards[card] = {**new, **cards.pop(card, {})}
        latest = dict(list(cards.items())[-MOST_CARDS:])
        text = json.dumps({"version": VERSION, "cards": latest}, indent=1)
        write_whole(self.path, text.encode())

    def _cards(self) -> dict[str, dict[str, Blocks]]:
        try:
            if not self.path.is_file() or self.path.stat().st_size > MAX_BYTES:
                return {}
            said = json.loads(self.path.read_bytes())
            if said["version"] != VERSION:
                return {}
            return {card: _choices(mine) for card, mine in said["cards"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}


def _choices(said: Mapping[str, Any]) -> dict[str, Blocks]:
    """Those that are whole numbers; whether they are blocks is seen where they are used."""
    return {
        question: tuple(blocks)
        for question, blocks in said.items()
        if isinstance(blocks, list) and all(type(number) is int for number in blocks)
    }
