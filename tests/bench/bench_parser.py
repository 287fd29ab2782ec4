"""Seconds per MB of the parser on hostile and good text, and 100,000 fuzzed strings.

Run: python tests/bench/bench_parser.py
"""

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]

from golden_answers import golden_rows  # noqa: E402
from hostile_texts import fuzzed, slow_texts  # noqa: E402
from qwen3vl_pack import load_pack  # noqa: E402

load_pack()

SIZE = 1_000_000
FUZZED = 100_000


def outcome(text: str) -> str:
    from qwen3vl_nodes.utils.errors import ParseError
    from qwen3vl_nodes.utils.parsing.detections import parse_detections

    try:
        return f"{len(parse_detections(text, 640, 480).items)} items"
    except ParseError as error:
        return f"refused: {error.problem[:50]}"


def main() -> None:
    for name, text in slow_texts(SIZE).items():
        started = time.process_time()
        result = outcome(text)
        seconds = (time.process_time() - started) / (len(text) / 1e6)
        print(f"{seconds:6.3f} s/MB  {name:28} {result}")
    answers = [row.text for row in golden_rows() if row.text]
    started = time.process_time()
    refused = sum(outcome(t).startswith("refused") for t in fuzzed(FUZZED, 5, answers))
    seconds = time.process_time() - started
    print(f"{FUZZED} fuzzed strings: {refused} refused, the others read, in {seconds:.1f} s")


if __name__ == "__main__":
    main()
