# ruff: noqa: E501 (answers are quoted whole)
"""Answers about what happens when: a table of real forms, every prefix, and hostile text."""

import contextlib
import json
import random
import time

import pytest
from hostile_texts import SLOW_EVENTS
from qwen3vl_nodes.utils.errors import ParseError
from qwen3vl_nodes.utils.parsing.films.events import parse_events

# name, answer, flags (r repaired, t truncated, n noted), events as (start, end, text)
TABLE = [
    ("cookbook dict", '{"00:23.00 - 00:48.00": "A man pours."}', "", [(23, 48, "A man pours.")]),
    (
        "fenced dict of the demo checkpoint",
        '```json\n{\n\t"00:00.00 - 00:03.50": "A red star is visible.",\n'
        '\t"00:01.50 - 00:06.00": "A blue circle moves to the right."\n}\n```',
        "",
        [(0, 3.5, "A red star is visible."), (1.5, 6, "A blue circle moves to the right.")],
    ),
    (
        "list with start and end",
        '[{"start": "00:01.00", "end": "00:02.50", "description": "A"}]',
        "",
        [(1, 2.5, "A")],
    ),
    ("start_time", '[{"start_time": 1, "end_time": 2.5, "event": "A"}]', "", [(1, 2.5, "A")]),
    ("spaces in names", '[{"Start Time": "0:01", "End Time": "0:02", "Event": "A"}]', "", [(1, 2, "A")]),
    ("timestamp span", '[{"timestamp": "00:01.00 - 00:02.00", "caption": "A"}]', "", [(1, 2, "A")]),
    ("time list", '[{"timestamps": [1.0, 2.5], "text": "A"}]', "", [(1, 2.5, "A")]),
    ("time object", '[{"time": {"start": 1, "end": 2}, "text": "A"}]', "", [(1, 2, "A")]),
    ("one moment", '[{"time": "00:05.00", "event": "A bell."}]', "", [(5, 5, "A bell.")]),
    ("triples", '[["00:01", "00:02", "A"], [2, 3.5, "B"]]', "", [(1, 2, "A"), (2, 3.5, "B")]),
    ("under a name", '{"events": [{"start": 1, "end": 2, "text": "A"}]}', "", [(1, 2, "A")]),
    ("dicts in a list", '[{"00:01 - 00:02": "A"}, {"00:02 - 00:03": "B"}]', "",
     [(1, 2, "A"), (2, 3, "B")]),
    ("text in an object", '{"00:01 - 00:02": {"description": "A"}}', "", [(1, 2, "A")]),
    ("text in a list", '{"00:01 - 00:02": ["A", "B"]}', "", [(1, 2, "A B")]),
    ("hours", '{"01:00:01.50 - 01:02:00.00": "A"}', "", [(3601.5, 3720, "A")]),
    ("minutes beyond an hour", '{"75:00.00 - 76:00.00": "A"}', "", [(4500, 4560, "A")]),
    ("seconds with unit", '{"1.5s - 3.0s": "A"}', "", [(1.5, 3, "A")]),
    ("seconds in words", '{"1.5 seconds to 3 seconds": "A"}', "", [(1.5, 3, "A")]),
    ("bare seconds", '{"12 - 20": "A"}', "", [(12, 20, "A")]),
    ("minutes and seconds in words", '[{"start": "1m 20s", "end": "2min", "text": "A"}]', "",
     [(80, 120, "A")]),
    ("long dash", '{"00:01 – 00:02": "A", "00:02—00:03": "B"}', "", [(1, 2, "A"), (2, 3, "B")]),
    ("tilde", '{"00:01~00:02": "A"}', "", [(1, 2, "A")]),
    ("Chinese", '{"00:01 至 00:02": "一颗红星"}', "", [(1, 2, "一颗红星")]),
    ("Chinese seconds", '{"1秒到2.5秒": "一颗红星"}', "", [(1, 2.5, "一颗红星")]),
    ("angle brackets", '{"<1.0 seconds> - <2.5 seconds>": "A"}', "", [(1, 2.5, "A")]),
    ("from … to …", '{"from 00:01 to 00:02": "A"}', "", [(1, 2, "A")]),
    ("comma before thousandths", '[{"start": "00:00:01,500", "end": "00:00:02,000", "text": "A"}]',
     "", [(1.5, 2, "A")]),
    ("frames as a fourth field", '[{"start": "00:00:01:12", "end": "00:00:02:00", "text": "A"}]',
     "", [(1, 2, "A")]),
    ("hundredths with a colon, in a short film", '{"00:01:50 - 00:03:00": "A"}', "rn", [(1.5, 3, "A")]),
    ("swapped", '{"00:05.00 - 00:02.00": "A"}', "n", [(2, 5, "A")]),
    ("beyond the film", '{"00:05.00 - 09:00.00": "A"}', "n", [(5, 60, "A")]),
    ("after the film", '{"00:05 - 00:06": "A", "02:00 - 03:00": "B"}', "n", [(5, 6, "A")]),
    ("nothing said", '[{"start": 1, "end": 2, "text": ""}, {"start": 2, "end": 3, "text": "B"}]',
     "n", [(2, 3, "B")]),
    ("one time unreadable", '[{"start": "soon", "end": 2, "text": "A"}, '
     '{"start": 2, "end": 3, "text": "B"}]', "n", [(2, 3, "B")]),
    ("negative", '[{"start": -4, "end": 2, "text": "A"}, {"start": 2, "end": 3, "text": "B"}]', "n",
     [(2, 3, "B")]),
    ("one key twice", '{"00:01 - 00:02": "A", "00:01 - 00:02": "B"}', "r", [(1, 2, "A"), (1, 2, "B")]),
    ("single quotes, loose comma", "{'00:01 - 00:02': 'A',}", "r", [(1, 2, "A")]),
    ("cut off in a text", '{"00:01 - 00:02": "A", "00:02 - 00:03": "B is', "t", [(1, 2, "A")]),
    ("cut off in an item", '[{"start": 1, "end": 2, "text": "A"}, {"start": 2, "end": 3', "t",
     [(1, 2, "A")]),
    ("sentence before", 'Here they are: {"00:01 - 00:02": "A"}', "", [(1, 2, "A")]),
    ("thinking before", '<think>{"00:09 - 00:10": "no"}</think>{"00:01 - 00:02": "A"}', "",
     [(1, 2, "A")]),
    ("lines", "00:01.00 - 00:02.50: A\n00:03.00 - 00:04.00: B", "r", [(1, 2.5, "A"), (3, 4, "B")]),
    ("bullets", "- **[00:01 - 00:02]** A star.\n* 00:03–00:04 — A heart.", "r",
     [(1, 2, "A star."), (3, 4, "A heart.")]),
    ("numbered", "1. 0.0s - 3.5s: A\n2. 3.5s - 6.0s: B", "r", [(0, 3.5, "A"), (3.5, 6, "B")]),
    ("subtitles", "1\n00:00:01,000 --> 00:00:02,500\nA red\nstar\n\n2\n00:00:03,000 --> "
     "00:00:04,000\nB\n", "r", [(1, 2.5, "A red star"), (3, 4, "B")]),
    ("a sentence", "A red star is visible from 1.0 to 3.5 seconds.", "r",
     [(1, 3.5, "A red star is visible")]),
    ("lines in a list", '["00:01 - 00:02: A", "00:02 - 00:03: B"]', "", [(1, 2, "A"), (2, 3, "B")]),
    ("no events", "[]", "", []),
    ("no events in words", "Nothing happens in this video.", "", []),
    ("numbers that are no times", "2-3 people walk, 4 to 6 dogs.", "", []),
    ("numbered texts are no times", '{"1": "A", "2": "B"}', "", []),
    ("line breaks in a text", '{"00:01 - 00:02": "A\\n\\nB"}', "", [(1, 2, "A B")]),
    ("half a surrogate", '{"00:01 - 00:02": "A\\ud83d"}', "", [(1, 2, "A\ufffd")]),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "flags", "expected"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
def test_every_form(answer: str, flags: str, expected: list[tuple[float, float, str]]):
    found = parse_events(answer, film_seconds=None if expected and expected[-1][1] > 60 else 60.0)
    assert [(e.start, e.end, e.text) for e in found] == expected
    assert found.repaired == ("r" in flags)
    assert found.truncated == ("t" in flags)
    assert bool(found.notes) == ("n" in flags)


@pytest.mark.parametrize(
    "answer",
    [
        '[{"start": "soon", "end": "later", "text": "A"}]',
        '[{"start": [], "end": {}, "text": "A"}]',
        '[{"start": NaN, "end": 2, "text": "A"}]',
        '[{"start": 1e999, "end": 2e999, "text": "A"}]',
        '[{"start": true, "end": 2, "text": "A"}]',
        f'[{{"start": 1, "end": {"9" * 5000}, "text": "A"}}]',
    ],
)
def test_times_that_cannot_be_read_are_an_error(answer: str):
    with pytest.raises(ParseError, match="times that cannot be read"):
        parse_events(answer)


PREFIXED = [row[1] for row in TABLE if row[0] in {
    "fenced dict of the demo checkpoint", "list with start and end", "start_time", "time list",
    "time object", "triples", "under a name", "dicts in a list", "text in an object", "hours",
}]  # fmt: skip


@pytest.mark.parametrize("answer", PREFIXED, ids=range(len(PREFIXED)))
def test_every_prefix_gives_the_first_events_and_says_that_it_is_cut(answer: str):
    whole = parse_events(answer)
    for end in range(len(answer)):
        found = parse_events(answer[:end])
        assert found.items == whole.items[: len(found.items)], answer[:end]
        begun = any(mark in answer[:end] for mark in "[{")
        assert found.truncated or found.items == whole.items or not begun, answer[:end]
    assert len(PREFIXED) == 10


def test_notes_are_bounded():
    answer = json.dumps([{"start": 1, "end": 2, "text": ""}] * 500)
    notes = parse_events(answer).notes
    assert len(notes) == 51
    assert "450 more" in notes[-1]


def test_what_leaves_can_be_written():
    found = parse_events('{"00:01.2345 - 00:02": "A"}')
    assert found.to_json_values() == [{"start": 1.234, "end": 2.0, "text": "A"}]


@pytest.mark.parametrize("name", SLOW_EVENTS)
def test_time_grows_with_the_length_only(name: str):
    text = SLOW_EVENTS[name] * (200_000 // len(SLOW_EVENTS[name]))
    for start in ("", "[", "x\n"):
        started = time.process_time()
        with contextlib.suppress(ParseError):
            parse_events(start + text, 60.0)
        assert time.process_time() - started < 10.0


def test_fuzzed_answers_give_checked_events_or_a_typed_error():
    dice = random.Random(4)
    outcomes = {"value": 0, "error": 0}
    answers = [row[1] for row in TABLE]
    for _ in range(6000):
        text = list(dice.choice(answers) + dice.choice(answers))
        for _ in range(dice.randint(1, 8)):
            at = dice.randrange(len(text))
            text[at : at + dice.randint(0, 3)] = dice.choice('[]{}":,-0159 .smha\n\\e\ud800')
        try:
            found = parse_events("".join(text), 60.0)
        except ParseError:
            outcomes["error"] += 1
            continue
        outcomes["value"] += 1
        for event in found:
            assert 0 <= event.start <= event.end <= 60.0
            event.text.encode()
    assert min(outcomes.values()) > 0
