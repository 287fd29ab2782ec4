"""A table with merged cells as one value, and as CSV, JSON, Markdown and HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ..errors import InputError, ParseError

# A page holds a few thousand cells at most; spans could claim millions.
MAX_PLACES = 100_000
MAX_COLUMNS = 1000


@dataclass(frozen=True, slots=True)
class Cell:
    """Text at a place, counted from 0, that covers `rows` x `columns` places."""

    text: str
    row: int
    column: int
    rows: int = 1
    columns: int = 1
    heading: bool = False

    def __post_init__(self) -> None:
        if min(self.row, self.column) < 0 or min(self.rows, self.columns) < 1:
            raise InputError(
                f"A cell at row {self.row}, column {self.column} that covers {self.rows} x "
                f"{self.columns} places is no cell.",
                "Count from 0 and cover at least one place.",
            )


@dataclass(frozen=True, slots=True)
class Table:
    """Cells in reading order, none over another, in `rows` x `columns` places.

    `complete` is False when the end of the table was missing: then only whole rows are here.
    """

    rows: int
    columns: int
    cells: tuple[Cell, ...]
    caption: str = ""
    complete: bool = True

    @property
    def heading_rows(self) -> int:
        """How many rows from the top hold headings and nothing else."""
        headed = {cell.row for cell in self.cells if cell.heading}
        headed -= {cell.row for cell in self.cells if not cell.heading}
        return next(row for row in range(self.rows + 1) if row not in headed)

    @property
    def merged(self) -> tuple[Cell, ...]:
        """The cells that cover more than one place."""
        return tuple(cell for cell in self.cells if cell.rows * cell.columns > 1)

    def grid(self, repeat: bool = True) -> list[list[str]]:
        """The text at every place, row by row.

        Args:
            repeat: a merged cell's text stands at each of its places, so that every row can be
                read alone; otherwise only at the first.
        """
        places = [[""] * self.columns for _ in range(self.rows)]
        for cell in self.cells:
            for row in range(cell.row, cell.row + (cell.rows if repeat else 1)):
                for column in range(cell.column, cell.column + (cell.columns if repeat else 1)):
                    places[row][column] = cell.text
        return places

    def to_csv(self) -> str:
        """Comma-separated lines ending in a line feed; merged cells repeat their text."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(self.grid())
        return out.getvalue()

    def to_json(self) -> str:
        """`{"caption", "heading_rows", "rows", "merged"}`; `merged` says what `rows` repeats."""
        value: dict[str, Any] = {
            "caption": self.caption,
            "heading_rows": self.heading_rows,
            "rows": self.grid(),
            "merged": [
                {"row": c.row, "column": c.column, "rows": c.rows, "columns": c.columns}
                for c in self.merged
            ],
        }
        return json.dumps(value, ensure_ascii=False)

    def to_html(self) -> str:
        """Rows and cells with their spans; every text is escaped."""
        lines = ["<table>"]
        if self.caption:
            lines.append(f"<caption>{_html_text(self.caption)}</caption>")
        by_row: dict[int, list[Cell]] = {}
        for cell in self.cells:
            by_row.setdefault(cell.row, []).append(cell)
        for row in range(self.rows):
            lines.append("<tr>" + "".join(_html_cell(c) for c in by_row.get(row, ())) + "</tr>")
        return "\n".join([*lines, "</table>"])

    def to_markdown(self) -> str:
        """A pipe table; one with merged cells, which Markdown cannot write, as HTML."""
        if self.merged or not self.cells:
            return self.to_html()
        rows = [[_pipe_text(text) for text in row] for row in self.grid()]
        lines = [_pipe_row(rows[0]), _pipe_row(["---"] * self.columns), *map(_pipe_row, rows[1:])]
        caption = [_pipe_text(self.caption), ""] if self.caption else []
        return "\n".join([*caption, *lines])


@dataclass(frozen=True, slots=True)
class CellSpan:
    """A cell as a source has it, before it has a place."""

    text: str
    rows: int = 1
    columns: int = 1
    heading: bool = False


class TableBuilder:
    """Gives cells their places, row by row, as HTML does: each in the first free place.

    Raises ParseError where the spans claim more places than any page has.
    """

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.rows = 0
        self.columns = 0
        self._places = 0
        # Column -> the first row in which it is free again.
        self._taken: dict[int, int] = {}

    def add_row(self, spans: Sequence[CellSpan]) -> None:
        """Add a row; cells of rows above that reach down into it keep their places."""
        row, column = self.rows, 0
        for span in spans:
            while self._taken.get(column, 0) > row:
                column += 1
            column = self._put(row, column, span)
        reach = max(self.covered(row), default=-1) + 1
        self.columns = max(self.columns, column, reach)
        self.rows += 1
        if self.rows * max(1, self.columns) > MAX_PLACES:
            raise _too_large()

    def covered(self, row: int) -> set[int]:
        """The columns of a row that cells above it cover."""
        return {column for column, free in self._taken.items() if free > row}

    def finish(self, caption: str = "", complete: bool = True) -> Table:
        """The table; spans that reach below the last row end there."""
        cells = tuple(
            replace(cell, rows=self.rows - cell.row) if cell.row + cell.rows > self.rows else cell
            for cell in self.cells
        )
        return Table(self.rows, self.columns, cells, caption, complete)

    def _put(self, row: int, column: int, span: CellSpan) -> int:
        """Place one cell, no wider than what is free; the column behind it."""
        width = 1
        while width < min(span.columns, MAX_COLUMNS) and self._taken.get(column + width, 0) <= row:
            width += 1
        if column + width > MAX_COLUMNS:
            raise _too_large()
        self._places += width
        if self._places > MAX_PLACES:
            raise _too_large()
        self.cells.append(Cell(span.text, row, column, span.rows, width, span.heading))
        for covered in range(column, column + width):
            self._taken[covered] = row + span.rows
        return column + width


def _too_large() -> ParseError:
    return ParseError(
        f"A table claims more than {MAX_PLACES} places or {MAX_COLUMNS} columns.",
        "No page holds such a table; ask again with another seed.",
    )


def _html_cell(cell: Cell) -> str:
    tag = "th" if cell.heading else "td"
    spans = f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
    spans += f' colspan="{cell.columns}"' if cell.columns > 1 else ""
    return f"<{tag}{spans}>{_html_text(cell.text)}</{tag}>"


def _html_text(text: str) -> str:
    return escape(text, quote=False).replace("\n", "<br>")


def _pipe_text(text: str) -> str:
    """One line that a pipe table can hold and a reader of Markdown takes as text."""
    return _html_text(text.strip()).replace("\\", "\\\\").replace("|", "\\|")


def _pipe_row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"
