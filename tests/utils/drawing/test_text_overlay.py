"""Texts on their places, and numbers with a list."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections
from qwen3vl_nodes.utils.drawing.text_overlay import draw_numbered, draw_texts
from qwen3vl_nodes.utils.images.picture import Picture

GREY = Picture(np.full((300, 400, 3), 120, np.uint8))


def found(*labels_and_boxes):
    items = tuple(Detection(label, Box(*box)) for label, box in labels_and_boxes)
    return Detections(400, 300, items)


def test_a_text_stands_on_its_place_and_nowhere_else():
    drawn = draw_texts(GREY, found(("Hello", (0.25, 0.4, 0.75, 0.6)))).pixels
    inside = drawn[121:179, 101:299]
    assert (inside < 60).any() and (inside > 200).mean() > 0.5
    outside = drawn.copy()
    outside[120:180, 100:300] = 120
    assert (outside == 120).all()
    assert (GREY.pixels == 120).all()


def test_a_longer_text_has_smaller_letters_and_is_never_cut():
    box = (0.25, 0.4, 0.75, 0.6)
    heights = []
    for text in ("Hi", "Hello to all of you", "word " * 60):
        drawn = draw_texts(GREY, found((text, box))).pixels
        dark = (drawn[121:179, 102:298] < 150).all(axis=-1)
        rows = np.flatnonzero(dark.any(axis=1))
        heights.append(rows[-1] - rows[0])
    assert heights[0] > heights[1] > heights[2]
    # The end of the last one is there, pressed together.
    assert (drawn[125:175, 285:298] < 245).any()


def test_a_high_box_has_its_text_turned():
    drawn = draw_texts(GREY, found(("Sideways text", (0.4, 0.1, 0.5, 0.9)))).pixels
    dark = (drawn[32:268, 162:198] < 100).all(axis=-1)
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert rows[-1] - rows[0] > 3 * (columns[-1] - columns[0])


@pytest.mark.parametrize("label", ["", " ", "\u202e\x00", "猫" * 500, "<b>x</b>", "\ud800"])
def test_any_label_can_be_drawn(label):
    for draw in (draw_texts, draw_numbered):
        draw(GREY, found((label, (0.0, 0.0, 0.002, 0.002)), (label, (0.9, 0.9, 1.0, 1.0))))


def test_numbers_leave_the_picture_and_add_a_list():
    drawn = draw_numbered(GREY, found(("one", (0.1, 0.1, 0.3, 0.3)), ("two", (0.5, 0.5, 0.8, 0.8))))
    assert drawn.size_wh[0] > 400
    assert (drawn.pixels[:300, 404:] < 100).any()
    assert (drawn.pixels[60:80, 60:100] == 120).all()


def test_a_long_list_makes_the_sheet_higher_and_ends_with_a_word():
    drawn = draw_numbered(GREY, found(*[(f"line {n}", (0.1, 0.1, 0.2, 0.2)) for n in range(450)]))
    assert drawn.size_wh[1] > 1000
    assert drawn.size_wh[1] < 20_000


def test_nothing_found_is_the_picture_alone():
    assert (draw_texts(GREY, found()).pixels == GREY.pixels).all()
    assert (draw_numbered(GREY, found()).pixels[:, :400] == 120).all()
