"""Scoring on written-out answers."""

import random

import pytest
from evaluation import scores
from talks import answers
from world import pages, scenes


def scene(seed: int = 3) -> scenes.Scene:
    return scenes.random_scene(random.Random(seed), (320, 240), 3)


def test_a_caption_is_exact_only_with_the_same_objects():
    one = scene()
    assert scores.caption_exact(answers.caption(one.things), one)
    assert not scores.caption_exact(answers.caption(one.things[:-1]), one)


def test_names_are_counted():
    assert scores.names_in("A red circle, a red circle and a blue star.")["red circle"] == 2


@pytest.mark.parametrize(
    ("text", "value"), [("There are 3 objects.", 3), ("None.", None), ("12", 12)]
)
def test_first_number(text, value):
    assert scores.first_number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("```json\n[]\n```", []), ("[1, 2]", [1, 2]), ("```json\n[{\n```", None), ("nothing", None)],
)
def test_fenced_json(text, value):
    assert scores.fenced_json(text) == value


def test_boxes_of_the_truth_match_the_truth():
    one = scene()
    items = [
        {"bbox_2d": answers.scaled_box(t.box, one.size_wh), "label": t.name} for t in one.things
    ]
    found = scores.pixel_boxes(
        scores.fenced_json(answers.fenced_items(items)), "label", one.size_wh
    )
    right, overlaps = scores.match(found, [(t.name, t.box) for t in one.things])
    assert right == 3 and min(overlaps) > 0.93
    assert scores.match([], [("red circle", (0, 0, 10, 10))]) == (0, [0.0])


def test_inside_a_polygon():
    square = [(0, 0), (10, 0), (10, 10), (0, 10)]
    assert scores.inside((5, 5), square) and not scores.inside((11, 5), square)


def test_words_are_multisets():
    assert scores.words_right("A B B", "B B B C") == (2, 4)


def test_the_true_html_has_the_layout_of_its_page():
    page = pages.random_page(random.Random(6), (480, 640))
    assert scores.layout_iou(answers.html(page), page) > 0.95
    assert scores.layout_iou("", page) == 0


def test_event_ends_within_reach():
    text = '```json\n{\n\t"00:01.00 - 00:03.50": "A red circle is visible."\n}\n```'
    assert scores.event_ends(text, [("red circle", 1.5, 3.5)]) == (2, 2)
    assert scores.event_ends(text, [("red circle", 2.0, 3.5)]) == (1, 2)
    assert scores.event_ends(text, [("blue star", 1.0, 3.5)]) == (0, 2)
    assert scores.seconds("01:02.50") == 62.5


def test_a_click():
    assert scores.clicked(answers.click((100, 50), (200, 200)), (200, 200)) == pytest.approx(
        (100, 50)
    )
    assert scores.clicked("<tool_call>\n{}\n</tool_call>", (9, 9)) is None
    assert scores.clicked("I cannot.", (9, 9)) is None
