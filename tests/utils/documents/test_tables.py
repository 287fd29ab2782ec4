"""Tables of three origins, cell by cell, and what they become."""

import csv
import io
import json
from pathlib import Path

import pytest
from qwen3vl_nodes.utils.documents.elements import all_elements, read_table
from qwen3vl_nodes.utils.documents.html import read_html
from qwen3vl_nodes.utils.documents.latex import find_tables
from qwen3vl_nodes.utils.documents.markdown import is_pipe_table, read_pipe_table
from qwen3vl_nodes.utils.documents.tables import Cell, CellSpan, Table, TableBuilder
from qwen3vl_nodes.utils.errors import InputError, ParseError
from qwen3vl_nodes.utils.parsing.document_answer import parse_document
from support.golden_tables import Row, golden_rows

ROWS = golden_rows(Path(__file__).parent / "data" / "tables.txt")


def read_any(source: str) -> Table:
    if source.startswith("\\begin"):
        (found,) = find_tables(source)
        return found.table
    if source.startswith("<table"):
        return read_table(next(all_elements(read_html(source).body, "table")))
    if source.startswith("# "):  # a page, which has one table
        (table,) = parse_document(source, 1000, 1000, "markdown").tables
        return table
    assert is_pipe_table(source.split("\n"), 0)
    return read_pipe_table(source)


def as_written(table: Table) -> str:
    """The facts in the first line, then the CSV."""
    facts = [f"headings {table.heading_rows}"]
    facts += [f"merged {c.row},{c.column} {c.rows}x{c.columns}" for c in table.merged]
    facts += [f"caption {table.caption}"] if table.caption else []
    facts += [] if table.complete else ["incomplete"]
    return "; ".join(facts) + "\n" + table.to_csv().rstrip("\n")


def test_the_list_is_long_and_has_every_origin():
    assert len(ROWS) >= 50
    assert len({row.name for row in ROWS}) == len(ROWS)
    for origin in ("latex", "html", "markdown"):
        assert sum(row.name.startswith(origin) for row in ROWS) >= 11
    merged = [row for row in ROWS if "merged" in row.expected]
    assert len(merged) >= 20
    for origin in ("latex", "html", "markdown page"):
        assert any(row.name.startswith(origin) for row in merged)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_golden(row: Row):
    assert as_written(read_any(row.source)) == row.expected


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_csv_holds_exactly_the_grid(row: Row):
    table = read_any(row.source)
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [r for r in table.grid() if r]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_html_and_markdown_say_the_same_as_the_table(row: Row):
    table = read_any(row.source)
    again = read_table(next(all_elements(read_html(table.to_html()).body, "table")))
    assert again.grid() == table.grid()
    if not table.merged and table.rows:
        lines = table.to_markdown().split("\n")
        start = 2 if table.caption else 0
        assert is_pipe_table(lines, start)
        grid = read_pipe_table("\n".join(lines[start:])).grid()
        assert [[cell.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                 for cell in line] for line in grid] == table.grid()  # fmt: skip


def test_json_says_what_the_rows_repeat():
    table = read_any(ROWS[1].source)
    value = json.loads(table.to_json())
    assert value["rows"][0] == ["Name", "Score", "Score"]
    assert {"row": 0, "column": 1, "rows": 1, "columns": 2} in value["merged"]


def test_spans_cannot_claim_more_places_than_a_page_has():
    builder = TableBuilder()
    with pytest.raises(ParseError, match="claims"):
        for _ in range(1000):
            builder.add_row([CellSpan("x", rows=60_000, columns=1000)])
    with pytest.raises(ParseError, match="claims"):
        TableBuilder().add_row([CellSpan("x")] * 1001)


def test_many_rows_of_wide_tables_are_bounded():
    builder = TableBuilder()
    builder.add_row([CellSpan("x", columns=1000)])
    with pytest.raises(ParseError, match="claims"):
        for _ in range(1000):
            builder.add_row([])


@pytest.mark.parametrize("place", [(-1, 0, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0)])
def test_a_cell_checks_itself(place: tuple[int, int, int, int]):
    row, column, rows, columns = place
    with pytest.raises(InputError):
        Cell("x", row, column, rows, columns)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name.startswith("latex")], ids=str)
def test_every_prefix_of_latex_has_whole_rows_of_the_whole(row: Row):
    whole = read_any(row.source).grid(repeat=False)
    for length in range(len(row.source)):
        for found in find_tables(row.source[:length]):
            assert not found.table.complete
            if found.table.rows and "longtable" not in row.source:
                grid = found.table.grid(repeat=False)
                texts = [[t for t in line if t] for line in grid]
                assert texts == [[t for t in line if t] for line in whole[: len(texts)]]
