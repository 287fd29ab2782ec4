"""Reads tables of golden rows: a name, a source, an arrow, and what must come of it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    name: str
    source: str
    expected: str

    def __str__(self) -> str:
        return self.name


def golden_rows(path: Path) -> list[Row]:
    rows = []
    for part in ("\n" + path.read_text(encoding="utf-8")).split("\n### ")[1:]:
        name, _, rest = part.partition("\n")
        source, arrow, expected = rest.partition("\n--->\n")
        assert arrow, name
        rows.append(Row(name, source, expected.strip("\n")))
    return rows
