"""The answers to the document prompts: golden tables, every prefix, fuzzing, time."""

import json
import random
import time
from pathlib import Path

import pytest
from hostile_texts import SLOW_MARKUP
from qwen3vl_nodes.utils.documents.html import read_html
from qwen3vl_nodes.utils.documents.layout import Layout
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.document_answer import parse_document, parse_pages
from support.golden_tables import Row, golden_rows

DATA = Path(__file__).parent / "data"
ROWS = [
    ("html", row) for row in golden_rows(DATA / "html_pages.txt")
] + [("markdown", row) for row in golden_rows(DATA / "markdown_pages.txt")]  # fmt: skip
FUZZED = 4000


def as_written(layout: Layout) -> str:
    """Flags, then a line for each block: kind, place, level, text, caption, Markdown."""
    flags = [f for f in ("truncated", "repaired") if getattr(layout, f)]
    lines = [" ".join([*flags, *(f"noted: {note}" for note in layout.notes)])]
    for block in layout.blocks:
        place = " ".join(map(str, block.box.to_qwen())) if block.box else "-"
        line = f"{block.kind} [{place}] {json.dumps(block.text, ensure_ascii=False)}"
        line += f" level {block.level}" if block.level else ""
        line += f" caption {json.dumps(block.caption, ensure_ascii=False)}" * bool(block.caption)
        line += (
            f" csv {json.dumps(block.table.to_csv(), ensure_ascii=False)}" if block.table else ""
        )
        line += "" if block.complete else " incomplete"
        lines.append(line)
    return "\n".join(lines) + "\n" + "= " + json.dumps(layout.to_markdown(), ensure_ascii=False)


def gold(source: str, form: str) -> str:
    try:
        return as_written(parse_document(source, 1000, 1000, form))
    except ParseError as error:
        return f"error: {error.problem}"


def test_the_tables_are_long_and_their_names_differ():
    for form in ("html", "markdown"):
        names = [row.name for kind, row in ROWS if kind == form]
        assert len(names) >= 40
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(("form", "row"), ROWS, ids=str)
def test_golden(form: str, row: Row):
    assert gold(row.source, form).strip() == row.expected.strip()


LONG = [(form, row) for form, row in ROWS if len(row.source) > 60 and "error" not in row.expected]


def test_prefixes_of_ten_answers_or_more_of_each_form():
    for form in ("html", "markdown"):
        assert sum(kind == form for kind, _ in LONG) >= 10


@pytest.mark.parametrize(("form", "row"), LONG, ids=str)
def test_every_prefix(form: str, row: Row):
    """A prefix never crashes; what it calls whole stands in the whole answer too."""
    whole = parse_document(row.source, 1000, 1000, form)
    texts = {(b.kind, b.text) for b in whole.blocks}
    # Before the first tag is whole nobody can know what is to come.
    first = row.source.find("<html>") + 6 if "<html>" in row.source else 1
    for length in range(first, len(row.source)):
        try:
            found = parse_document(row.source[:length], 1000, 1000, form)
        except ParseError:
            continue
        if form == "html" and row.source.lstrip("`html\n").startswith("<html"):
            tail = row.source[length:].strip("`\n ")
            assert found.truncated or "html>" not in tail, row.source[:length]
            for block in found.blocks:
                if block.complete and found.truncated and "repaired" not in row.expected:
                    assert (block.kind, block.text) in texts or block.kind in ("paragraph",), (
                        row.source[:length]
                    )


HOSTILE = [
    "<div>", "<p>", "</div>", "<table>", "<tr>", "<td rowspan=99999>", "</table>", "<!--", "-->",
    "<!-- Image (1, 2, 3, 4) -->", "<!-- Table (1, 2, 3, 4) -->", "\\begin{tabular}{cc}", "&",
    "\\\\", "\\end{tabular}", "\\multirow{2}{*}{", "}", "{", "\\multicolumn{9}{c}{", "$", "$$",
    "```", "```html\n", "|", "|---|---|", "\n", "\n\n", "# ", "- ", "1. ", "<", ">", '"', "'",
    'data-bbox="1 2 3 4"', "<img ", "/>", "<b>", "</b>", "<script>", "</script>", "&#x110000;",
    "&amp;", "\ud800", "\x00", "猫", "<|im_end|>", "<think>", "</think>", "<html>", "</html>",
    "<body>", "\\caption{", "\\hline", "~", "\\", "<ul>", "<li>", "</ul>", "<h1>", "</h1>",
    "word ", "\t", "> ", "![x](y)", "\u202e", "<![CDATA[", "<?x", "\\(", "\\)",
]  # fmt: skip


def test_fuzzed_texts_give_a_layout_or_a_typed_error():
    dice = random.Random(15)
    sources = [row.source for _, row in ROWS]
    outcomes = {"layout": 0, "error": 0}
    for number in range(FUZZED):
        if number % 2:
            text = "".join(dice.choices(HOSTILE, k=dice.randint(1, 40)))
        else:
            text = dice.choice(sources)
            for _ in range(dice.randint(1, 5)):
                place = dice.randrange(len(text) + 1)
                text = text[:place] + dice.choice(HOSTILE) + text[place + dice.randint(0, 4) :]
        try:
            layout = parse_document(text, 640, 480, dice.choice(("html", "markdown")))
        except ParseError:
            outcomes["error"] += 1
            continue
        outcomes["layout"] += 1
        written = layout.to_markdown() + layout.html
        written.encode("utf-8")
        assert "<script" not in written.replace("`", "").lower() or "```" in written
        for table in layout.tables:
            json.loads(table.to_json())
            table.to_csv().encode("utf-8")
        layout.to_detections()
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("name", SLOW_MARKUP)
def test_time_grows_with_the_length_only(name: str):
    """Far above what it takes: this only tells linear from square, which takes minutes."""
    for form in ("html", "markdown"):
        started = time.process_time()
        try:
            parse_pages(SLOW_MARKUP[name], [(640, 480), (640, 480)], form)
        except ParseError as error:
            assert error.remedy
        assert time.process_time() - started < 15.0


def test_the_guards_before_the_html_parser():
    for source, words in (
        ("<div>" * 100, "nested"),
        ("<p>x</p>" * 60_000, "tags"),
        ("x" * 4_000_001, "characters"),
    ):
        with pytest.raises(ParseError, match=words):
            read_html(source)


def test_nothing_of_a_page_can_act_when_it_is_shown():
    source = (
        '<html><body><p onclick="a()" style="x" class="y">a<script>b</script></p>'
        '<a href="javascript:c()">d</a><img src=x onerror=e()><svg onload=f()></svg>'
        '<table><tr><td background="g">h</td></tr></table><iframe src=i></iframe></body></html>'
    )
    layout = parse_document(source, 10, 10, "html")
    for forbidden in ("onclick", "style", "script", "href", "src", "onerror", "svg", "background"):
        assert forbidden not in layout.html
        assert forbidden not in layout.to_markdown()


def test_line_ends_of_windows():
    layout = parse_document("# T\r\n\r\na\r\nb", 10, 10, "markdown")
    assert [b.text for b in layout.blocks] == ["T", "a\nb"]


def test_pages_by_their_marks():
    text = "<!-- Page 1 -->\n# A\n<!-- Image (1, 2, 30, 40) -->\n<!-- Page 2 -->\n# B"
    first, second = parse_pages(text, [(100, 200), (300, 400)], "markdown")
    assert [b.kind for b in first.blocks] == ["title", "image"]
    assert second.text == "B"
    assert (second.width, second.height) == (300, 400)


def test_pages_without_marks_keep_their_text_and_lose_their_places():
    text = "# A\n\n<!-- Image (1, 2, 30, 40) -->\n\n# B"
    first, second = parse_pages(text, [(100, 200), (300, 400)], "markdown")
    assert first.text == "A\n\nB"
    assert first.pictures == []
    assert "page marks" in first.notes[-1]
    assert second.blocks == ()
    assert second.notes


def test_a_page_that_the_answer_passes_over_is_said():
    first, second = parse_pages(
        "<!-- Page 1 -->\nA\n<!-- Page 2 -->\n", [(10, 10), (10, 10)], "markdown"
    )
    assert first.text == "A"
    assert second.notes == ("the answer says nothing of this page",)


def test_blocks_as_detections_carry_their_text():
    source = '<html><body><p data-bbox="100 200 300 400">Hello</p></body></html>'
    (item,) = parse_document(source, 1000, 500, "html").to_detections().items
    assert item.label == "paragraph"
    assert item.shape.to_pixels(1000, 500) == (100, 100, 300, 200)
    assert item.attributes == {"text": "Hello"}
