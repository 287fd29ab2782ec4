"""Seconds per MB of every parser of answers on hostile and good text, and 100,000 fuzzed strings.

    python tests/bench/bench_parser.py [--parsers detections html] [--all]

Every parser gets every text, whatever format it is aimed at: of 1 MB, and of 0.15 MB, where fewer
are refused as longer than any answer. Of each parser the slowest texts are printed.
"""

# ruff: noqa: E402 (the pack is found by path)
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support")]

from golden_answers import golden_rows
from golden_tables import golden_rows as golden_pages
from hostile_texts import SLOW_CALLS, SLOW_EVENTS, SLOW_MARKUP, fuzzed, slow_texts
from qwen3vl_pack import load_pack

load_pack()

from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.detections import parse_detections
from qwen3vl_nodes.utils.parsing.document_answer import parse_document, parse_pages
from qwen3vl_nodes.utils.parsing.fields import read_answer
from qwen3vl_nodes.utils.parsing.films.events import parse_events
from qwen3vl_nodes.utils.parsing.films.tracked_objects import parse_sightings
from qwen3vl_nodes.utils.parsing.form_schema import read_form
from qwen3vl_nodes.utils.parsing.tool_calls import parse_tool_calls
from qwen3vl_nodes.utils.text.fenced_code import SUFFIXES, read_code

SIZES = (1_000_000, 150_000)
SLOWEST = 3
FUZZED = 100_000
SIDES = (640, 480)
FORM = read_form("company, date, total (number)")
GOOD_HTML = (
    '<p data-bbox="1 2 30 40">Some words are here</p>\n'
    '<table data-bbox="1 2 3 4">\n<tr><td>a</td><td>1</td></tr>\n</table>\n'
)
GOOD_MARKDOWN = (
    "# Title\n\nSome words are here, and more of them.\n\n<!-- Table (1, 2, 3, 4) -->\n"
    "\\begin{tabular}{|c|c|}\n\\hline\na & b \\\\\n\\hline\nc & d \\\\\n\\end{tabular}\n\n"
)
PARSERS: dict[str, Callable[[str], Any]] = {
    "detections": lambda text: parse_detections(text, *SIDES),
    "html": lambda text: parse_document(text, *SIDES, "html"),
    "markdown": lambda text: parse_document(text, *SIDES, "markdown"),
    "pages": lambda text: parse_pages(text, [SIDES] * 2, "html"),
    "fields": lambda text: read_answer(text, FORM),
    "events": lambda text: parse_events(text, 60.0),
    "sightings": lambda text: parse_sightings(text, *SIDES),
    "calls": parse_tool_calls,
    **{f"code {name}": lambda text, name=name: read_code(text, name) for name in SUFFIXES},
}


def texts(size: int) -> dict[str, str]:
    """Every text, of about so many characters."""
    data = TESTS / "utils" / "parsing" / "data"
    repeated = SLOW_MARKUP | SLOW_EVENTS | {f"call {piece!r}": piece for piece in SLOW_CALLS}
    for form in ("html_pages", "markdown_pages"):
        repeated[f"golden {form}"] = "\n".join(r.source for r in golden_pages(data / f"{form}.txt"))
    repeated |= {"good html": GOOD_HTML, "good markdown": GOOD_MARKDOWN}
    return slow_texts(size) | {n: (t * (size // len(t) + 1))[:size] for n, t in repeated.items()}


def measured(parser: Callable[[str], Any], text: str) -> tuple[float, str]:
    """(seconds, what came of it)."""
    started = time.process_time()
    try:
        parser(text)
    except ParseError as error:
        return time.process_time() - started, f"refused: {error.problem[:50]}"
    return time.process_time() - started, "read"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parsers", nargs="*", choices=PARSERS, default=list(PARSERS))
    parser.add_argument("--all", action="store_true", help="print every text, not the slowest")
    chosen = parser.parse_args()
    for size in SIZES:
        longest = 0.0
        for name in chosen.parsers:
            rows = [(*measured(PARSERS[name], t), what, len(t)) for what, t in texts(size).items()]
            rows.sort(reverse=True)
            longest = max(longest, rows[0][0])
            for seconds, outcome, what, length in rows[: None if chosen.all else SLOWEST]:
                print(f"{name:16} {seconds / length * 1e6:6.3f} s/MB  {what:28} {outcome}")
        print(f"no text of {size:,} characters took more than {longest:.2f} s", flush=True)
    answers = [row.text for row in golden_rows() if row.text]
    started = time.process_time()
    outcomes = [measured(PARSERS["detections"], t)[1] for t in fuzzed(FUZZED, 5, answers)]
    refused = sum(outcome != "read" for outcome in outcomes)
    seconds = time.process_time() - started
    print(f"{FUZZED} fuzzed strings: {refused} refused, the others read, in {seconds:.1f} s")


if __name__ == "__main__":
    main()
