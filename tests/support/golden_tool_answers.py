"""Reads the table of golden answers with tool calls."""

import json
from dataclasses import dataclass, field
from pathlib import Path

FLAGS = {"truncated", "repaired", "problem"}


@dataclass(frozen=True)
class Row:
    name: str
    text: str
    flags: frozenset[str]
    calls: tuple[tuple[str, dict], ...]
    said: dict[str, str] = field(default_factory=dict)


def tool_rows() -> list[Row]:
    table = (Path(__file__).parent / "data" / "tool_answers.txt").read_text(encoding="utf-8")
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
    calls, said = [], {}
    for line in lines:
        kind, _, value = line.partition(" ")
        if kind == "call":
            tool, _, arguments = value.partition(" ")
            calls.append(("" if tool == "-" else tool, json.loads(arguments)))
        else:
            assert kind in ("thought", "action", "words"), line
            said[kind] = value.replace("\\n", "\n")
    return Row(name, text.removesuffix("\n"), frozenset(flags), tuple(calls), said)
