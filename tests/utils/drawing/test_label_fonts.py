"""A label of several scripts: each run in a font that has it, all on one line."""

import pytest
from PIL import Image, ImageDraw, ImageFont
from qwen3vl_nodes.utils.drawing import fonts
from qwen3vl_nodes.utils.drawing.fonts import LabelFont

LATIN, OTHER = ImageFont.load_default(20), ImageFont.load_default(24)
HAS = {LATIN: "abc ", OTHER: "xyz\u0301"}


@pytest.fixture
def font(monkeypatch):
    """Two fonts with nothing in common; the mark over a letter is the second one's."""
    monkeypatch.setattr(fonts, "_has", lambda own, char: char in HAS[own])
    return LabelFont(20, [LATIN, OTHER])


def test_a_text_that_one_font_has_is_written_in_it_alone(font):
    assert font._runs("abc a") == [(LATIN, "abc a")]
    assert font._runs("xy") == [(OTHER, "xy")]
    assert font.bounds("abc") == tuple(map(round, LATIN.getbbox("abc")))


def test_each_run_has_its_font_and_marks_stay_with_their_letter(font):
    assert font._runs("ab xyb") == [(LATIN, "ab "), (OTHER, "xy"), (LATIN, "b")]
    assert font._runs("abx\u0301") == [(LATIN, "ab"), (OTHER, "x\u0301")]
    assert font._runs("aby\u0301a") == [(LATIN, "ab"), (OTHER, "y\u0301"), (LATIN, "a")]


def test_what_no_font_has_is_a_code_and_nothing_else_is(font):
    assert font.showable("ax\u732b") == "ax\\u732b"


def test_the_runs_stand_beside_each_other_within_their_bounds(font):
    left, top, right, bottom = font.bounds("abxyc")
    wide = LATIN.getlength("ab") + OTHER.getlength("xy") + LATIN.getlength("c")
    assert abs(right - left - wide) < 6
    image = Image.new("RGB", (right + 20, bottom + 20), "white")
    font.write(ImageDraw.Draw(image), (5, 5), "abxyc", (0, 0, 0))
    inked = Image.eval(image.convert("L"), lambda value: 255 - value).getbbox()
    assert inked[0] >= 4 + left and inked[1] >= 4 + top
    assert inked[2] <= 6 + right and inked[3] <= 6 + bottom


def test_nothing_is_written_of_an_empty_text(font):
    assert font.bounds("")[2] == 0
