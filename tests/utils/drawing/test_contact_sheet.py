"""Contact sheets: where pictures and texts are, and texts of every kind in their width."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.drawing.contact_sheet import (
    AMBER,
    CAPTION_LINES,
    GROUND,
    INK,
    MARGIN,
    MAX_ROWS,
    RED,
    TILE_WH,
    Card,
    contact_sheet,
    tile,
)
from qwen3vl_nodes.utils.drawing.fonts import label_font
from qwen3vl_nodes.utils.drawing.text_wrap import ELLIPSIS, text_width, wrapped
from qwen3vl_nodes.utils.images.picture import Picture

FONT = label_font(15)
GREEN = (0, 200, 0)


def plain(width=64, height=48, color=GREEN):
    return Picture(np.full((height, width, 3), color, np.uint8))


def card(caption=None, picture=None, problem="", name="a.png"):
    return Card(0, name, picture or plain(), caption, problem)


def count(sheet, color):
    return int((sheet == color).all(axis=-1).sum())


def test_cards_are_in_rows_from_left_to_right():
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sheet = contact_sheet([card("x", plain(320, 240, color)) for color in colors], 2)
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 2 * (TILE_WH[0] + MARGIN) + MARGIN
    middles = [np.argwhere((sheet == color).all(axis=-1)).mean(axis=0) for color in colors]
    assert middles[0][0] == middles[1][0] < middles[2][0]
    assert middles[0][1] == middles[2][1] < middles[1][1]
    assert [count(sheet, color) for color in colors] == [320 * 240] * 3


def test_a_picture_lies_in_the_middle_of_its_place_and_keeps_its_shape():
    sheet = contact_sheet([card("x", plain(40, 20))], 1)
    rows, columns = np.nonzero((sheet == GREEN).all(axis=-1))
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (20, 40)
    assert columns.min() - MARGIN == (TILE_WH[0] - 40) // 2


def test_columns_are_no_more_than_cards_and_rows_no_more_than_a_browser_shows():
    width = contact_sheet([card("x")], 10).shape[1]
    assert width == TILE_WH[0] + 2 * MARGIN
    sheet = contact_sheet([card("x y " * 500)] * 100, 1)
    assert sheet.shape[1] == 4 * (TILE_WH[0] + MARGIN) + MARGIN  # 100 cards in MAX_ROWS rows
    assert MAX_ROWS == 25 and sheet.shape[0] < 16_384


@pytest.mark.parametrize(
    ("shown", "color"),
    [
        (card("a caption"), INK),
        (card(None), AMBER),
        (card(" "), AMBER),
        (card("a caption", problem="It is broken."), RED),
        (Card(0, "a.png", None, None, "It is broken."), RED),
    ],
    ids=["caption", "none", "empty", "caption and problem", "broken"],
)
def test_each_kind_of_card_has_its_ink(shown, color):
    sheet = contact_sheet([shown], 1)
    others = {INK, AMBER, RED} - {color} - ({INK} if shown.caption == "a caption" else set())
    assert count(sheet, color) > 20
    assert not any(count(sheet, other) for other in others)


def test_a_broken_picture_with_a_caption_shows_both():
    sheet = contact_sheet([Card(0, "a.png", None, "a caption", "It is broken.")], 1)
    assert count(sheet, INK) > 20 and count(sheet, RED) > 2 * TILE_WH[0]


@pytest.mark.parametrize(
    "text",
    ["word " * 2000, "x" * 5000, "猫" * 5000, "a\nb\tc\r\n\0\x1b[31m", "\ud800", "😀 é ελ עב"],
    ids=["words", "one word", "chinese", "control", "half a character", "scripts"],
)
def test_any_caption_and_any_name_stay_on_their_card(text):
    sheet = contact_sheet([card(text, name=text)], 1)
    assert sheet.shape[0] <= TILE_WH[1] + (CAPTION_LINES + 2) * 20 + 3 * MARGIN
    assert (sheet[:, :MARGIN] == GROUND).all() and (sheet[:, -MARGIN:] == GROUND).all()


@pytest.mark.parametrize(
    ("size_wh", "small"),
    [
        ((4000, 4), (320, 1)),
        ((4, 4000), (1, 240)),
        ((640, 480), (320, 240)),
        ((100, 100), (100, 100)),
    ],
)
def test_a_tile_keeps_the_shape_and_never_vanishes(size_wh, small):
    assert tile(plain(*size_wh)).size_wh == small


def test_a_picture_that_is_not_small_yet_is_made_small():
    assert count(contact_sheet([card("x", plain(640, 480))], 1), GREEN) == 320 * 240


def test_a_long_name_shows_its_end():
    same_end = [contact_sheet([card("x", name=f"{c}{'long' * 30}/z.png")], 1) for c in "ab"]
    other_end = contact_sheet([card("x", name=f"a{'long' * 30}/y.png")], 1)
    assert np.array_equal(*same_end) and not np.array_equal(same_end[0], other_end)


@pytest.mark.parametrize(
    "text", ["one two three four five six seven", "onetwothreefourfive" * 4, "一二三四五六七八" * 4]
)
def test_lines_fit_and_lose_nothing(text):
    lines = wrapped(text, FONT, 100, 99)
    assert len(lines) > 2 and all(text_width(line, FONT) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_stay_whole_and_what_is_left_out_is_marked():
    lines = wrapped("one two three four five six", FONT, 80, 2)
    assert lines[0] == "one two"
    assert lines[-1].endswith(ELLIPSIS) and text_width(lines[-1], FONT) <= 80
    assert wrapped("one", FONT, 80, 2) == ["one"] and wrapped(" ", FONT, 80, 2) == []


@pytest.mark.parametrize("width", range(80, 120, 4))
def test_no_line_begins_with_a_full_stop(width):
    lines = wrapped("一二三。" * 40, FONT, width, 99)
    assert not any(line.startswith("。") for line in lines)


def test_a_width_too_small_for_a_letter_ends():
    assert wrapped("abc", FONT, 1, 99) == ["a", "b", "c"]
