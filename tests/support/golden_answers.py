"""Reads the table of golden answers."""

import json
from dataclasses import dataclass
from pathlib import Path

FLAGS = {"truncated", "repaired", "noted", "unreadable"}


@dataclass(frozen=True)
class Row:
    name: str
    text: str
    flags: frozenset[str]
    items: tuple[tuple[str, list[float], str, dict], ...]


def golden_rows() -> list[Row]:
    table = (Path(__file__).parent / "data" / "answers.txt").read_text(encoding="utf-8")
    return [_row(part) for part in ("\n" + table).split("\n### ")[1:]]


def _row(part: str) -> Row:
    name, _, rest = part.partition("\n")
    text, arrow, expected = rest.partition("--->")
    assert arrow, name
    lines = [line for line in expected.strip().splitlines() if line]
    flags: set[str] = set()
    if lines and lines[0].split()[0] in FLAGS:
        flags = set(lines.pop(0).split())
        assert flags <= FLAGS, name
    return Row(name, text.removesuffix("\n"), frozenset(flags), tuple(map(_item, lines)))


def _item(line: str) -> tuple[str, list[float], str, dict]:
    kind, _, rest = line.partition(" ")
    decode = json.JSONDecoder().raw_decode
    numbers, end = decode(rest)
    label, end = decode(rest, end + 1)
    attributes = json.loads(rest[end:]) if rest[end:].strip() else {}
    return kind, numbers, label, attributes
