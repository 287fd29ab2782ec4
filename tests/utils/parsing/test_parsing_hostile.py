"""Hostile and random text: a checked value or a typed error, in time."""

import contextlib
import json
import math
import random
import time

import pytest
from golden_answers import golden_rows
from hostile_texts import fuzzed, slow_texts
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.detections import parse_detections
from qwen3vl_nodes.utils.text import json_find, json_lenient
from qwen3vl_nodes.utils.text.json_find import find_json

SIZE = 100_000
# bench/bench_parser.py measures; this only tells linear from square, for which 100,000 characters
# take fifteen seconds and more. A busy machine must not fail it.
SECONDS = 2.5
# bench/bench_parser.py runs 100,000.
FUZZED = 5_000
TEXTS = slow_texts(SIZE)


@pytest.mark.parametrize("name", TEXTS)
def test_time_grows_with_the_length_only(name: str):
    text = TEXTS[name]
    started = time.process_time()
    with contextlib.suppress(ParseError):
        parse_detections(text, 640, 480)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[{" * 50_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        "Here: " + "[" * 100_000,
        "```json\n" + "[" * 100_000 + "]" * 100_000 + "\n```",
        '{"x": "]]]]", "y": ' + '["]]]]]]", ' * 70 + "]" * 70 + "}",
        "[" * (json_lenient.MAX_NESTING + 1) + "]" * (json_lenient.MAX_NESTING + 1),
    ],
    ids=lambda text: text[:12] + str(len(text)),
)
def test_deep_nesting_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    def no_json(*_: object, **__: object) -> None:
        raise AssertionError("deep text reached json")

    monkeypatch.setattr(json_find.json.JSONDecoder, "decode", no_json)
    with pytest.raises(ParseError, match="nested"):
        parse_detections(text, 640, 480)


def test_nesting_up_to_the_bound_is_read():
    depth = json_lenient.MAX_NESTING - 2
    text = "[" * depth + '{"bbox_2d": [1, 2, 3, 4], "label": "cat"}' + "]" * depth
    assert len(parse_detections(text, 640, 480).items) == 1


def test_brackets_in_strings_are_no_nesting():
    text = json.dumps([{"bbox_2d": [1, 2, 3, 4], "label": "[{" * 500}])
    assert len(parse_detections(text, 640, 480).items) == 1


def test_more_pieces_than_any_answer_are_refused():
    with pytest.raises(ParseError, match="longer than any model"):
        find_json("x [" + "1 2," * json_lenient.MAX_PIECES)
    with pytest.raises(ParseError, match="longer than any model"):
        find_json("x " + "[] " * (json_find.MAX_VALUES + 1))


@pytest.mark.parametrize("count", [400, 4000, 100_000])
def test_endless_digits_are_no_coordinate(count: int):
    """400 digits are more than a float holds, 100,000 more than Python turns into an int."""
    digits = "9" * count
    with pytest.raises(ParseError):
        parse_detections(f'[{{"bbox_2d": [1, 2, {digits}, 4], "label": "a"}}]', 640, 480)


def test_an_answer_of_the_largest_size_is_read():
    item = '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}'
    found = parse_detections("[" + ",".join([item] * 10_000) + "]", 640, 480)
    assert len(found.items) == 10_000


def test_notes_are_bounded():
    item = '{"bbox_2d": [1, 2, 30, 4000], "label": "cat"}'
    found = parse_detections("[" + ",".join([item] * 1000) + "]", 640, 480)
    assert len(found.notes) < 60
    assert "950 more" in " ".join(found.notes)


def test_fuzzed_texts_give_a_value_or_a_typed_error():
    answers = [row.text for row in golden_rows() if row.text]
    outcomes = {"value": 0, "error": 0}
    for text in fuzzed(FUZZED, seed=5, answers=answers):
        try:
            found = parse_detections(text, 640, 480)
        except ParseError:
            outcomes["error"] += 1
            continue
        outcomes["value"] += 1
        for item in found.items:
            item.label.encode("utf-8")
            json.dumps(dict(item.attributes), allow_nan=False).encode("utf-8")
            assert not hasattr(item.shape, "xyxy") or all(map(math.isfinite, item.shape.xyxy))
    assert sum(outcomes.values()) == FUZZED
    assert min(outcomes.values()) > 0


def test_random_unicode_never_crashes():
    dice = random.Random(8)
    for _ in range(3000):
        codes = [dice.randrange(0x11_0000) for _ in range(dice.randint(0, 60))]
        with contextlib.suppress(ParseError):
            parse_detections("[{" + "".join(map(chr, codes)), 640, 480)
