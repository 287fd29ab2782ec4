"""The drawer: places, labels in any script, sizes, and that it never paints on its input."""

import time

import numpy as np
import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections, Point
from qwen3vl_nodes.utils.detection.boxes3d import Box3D, Camera
from qwen3vl_nodes.utils.drawing.annotate import (
    MAX_LABEL_CHARACTERS,
    color_of,
    draw_detections,
    line_width,
    text_size,
)
from qwen3vl_nodes.utils.drawing.fonts import label_font
from qwen3vl_nodes.utils.images.picture import Picture
from qwen3vl_nodes.utils.text.printable import clean_label

GREY = 90


def grey(width: int, height: int) -> Picture:
    return Picture(np.full((height, width, 3), GREY, np.uint8))


def drawn(picture: Picture, *items: Detection, **options) -> np.ndarray:
    width, height = picture.size_wh
    return draw_detections(picture, Detections(width, height, items), **options).pixels


def test_the_input_is_not_painted_on():
    picture = grey(200, 100)
    pixels = drawn(picture, Detection("cat", Box(0.1, 0.1, 0.9, 0.9)))
    assert (picture.pixels == GREY).all()
    assert not np.shares_memory(pixels, picture.pixels)
    assert (pixels != GREY).any()


def test_a_read_only_input_is_no_obstacle():
    picture = grey(200, 100)
    picture.pixels.flags.writeable = False
    assert (drawn(picture, Detection("cat", Box(0.1, 0.1, 0.9, 0.9))) != GREY).any()


def test_the_frame_lies_on_the_box_and_nothing_inside():
    pixels = drawn(grey(800, 600), Detection("cat", Box(0.25, 0.25, 0.75, 0.75)), labels=False)
    color = color_of("cat")
    for y, x in ((150, 400), (449, 400), (300, 200), (300, 599)):
        assert tuple(pixels[y, x]) == color
    assert (pixels[155:445, 205:595] == GREY).all()
    assert (pixels[:150] == GREY).all()
    assert (pixels[450:] == GREY).all()
    assert (pixels[:, 600:] == GREY).all()


def test_a_point_is_at_its_place():
    pixels = drawn(grey(400, 400), Detection("eye", Point(0.5, 0.25)), labels=False)
    assert tuple(pixels[100, 200]) == color_of("eye")
    assert tuple(pixels[100, 200 + 2 * line_width(400, 400) + 1]) == (255, 255, 255)
    assert (pixels[200:] == GREY).all()


def test_a_wireframe_is_where_the_camera_sees_it():
    camera = Camera(400, 400, 200, 200)
    chair = Detection("chair", Box3D(0, 0, 4, 2, 2, 0, 0, 0, 0))
    pixels = drawn(grey(400, 400), chair, camera=camera, labels=False)
    for y, x in ((100, 200), (300, 200), (200, 100), (200, 300)):
        assert tuple(pixels[y, x]) == color_of("chair")
    assert (pixels[110:290, 110:290] == GREY).all()


def test_lines_to_billions_of_pixels_cross_the_picture_where_they_should():
    camera = Camera(400, 400, 200, 200)
    wide = Detection("wide", Box3D(0, 0, 0.002, 9e4, 0.001, 0, 0, 0, 0))
    pixels = drawn(grey(400, 400), wide, camera=camera, labels=False)
    assert (pixels[[100, 300]] == color_of("wide")).all()
    assert (pixels[110:290] == GREY).all()


@pytest.mark.parametrize(
    "box",
    [
        Box3D(0, 0, 0.0011, 5, 5, 0, 0.3, 0.2, 0.1),
        Box3D(0, 0, -3, 1, 1, 1, 0, 0, 0),
        Box3D(9e4, 9e4, 0.01, 9e4, 9e4, 9e4, 1, 2, 3),
    ],
    ids=["at the lens", "behind", "enormous"],
)
def test_odd_wireframes_take_no_time(box: Box3D):
    started = time.perf_counter()
    drawn(grey(640, 480), Detection("thing", box))
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (64, 48), (640, 480), (3000, 40)])
def test_every_size_of_picture(size: tuple[int, int]):
    items = [
        Detection("cat " * 20, Box(0, 0, 1, 1)),
        Detection("猫", Point(1, 1)),
        Detection("chair", Box3D(0, 0, 2, 1, 1, 1, 0, 0, 0)),
    ]
    pixels = drawn(grey(*size), *items)
    assert pixels.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (4096, 3072)])
def test_label_text_is_readable_at_every_size(size: tuple[int, int]):
    """The plate is as high as its letters, and letters grow with the picture."""
    pixels = drawn(grey(*size), Detection("cat", Box(0.3, 0.5, 0.6, 0.9)))
    above = pixels[: int(size[1] * 0.5) - 1]
    rows = (above != GREY).any(axis=(1, 2)).sum()
    assert rows >= 0.7 * text_size(*size)
    assert text_size(*size) >= max(11, size[0] / 60)


def test_a_label_at_the_upper_edge_stays_inside():
    pixels = drawn(grey(400, 300), Detection("cat", Box(0.9, 0, 1, 0.2)))
    plate = (pixels == color_of("cat")).all(axis=2)
    assert plate[:12, 330:].sum() > 100


def test_lines_grow_with_the_picture():
    assert [line_width(side, side) for side in (100, 1024, 4096)] == [1, 3, 14]


def test_a_color_belongs_to_a_label():
    assert color_of("cat") == (6, 249, 127)  # in every session: no salted hash
    names = [f"label {n}" for n in range(50)]
    assert len({color_of(name) for name in names}) >= 48
    pixels = drawn(
        grey(300, 300),
        Detection("cat", Box(0, 0, 0.4, 0.4)),
        Detection("cat", Box(0.5, 0.5, 0.9, 0.9)),
        labels=False,
    )
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 2


@pytest.mark.parametrize(
    ("label", "clean"),
    [
        ("cat", "cat"),
        ("  red \n\t cat ", "red cat"),
        ("a\x00b\x1b[31mc\x7f", "a b [31mc"),
        ("a\u202eb\u200bc\ud800d", "a b c d"),
        ("", ""),
        ("\n\x00", ""),
        ("x" * 10_000, "x" * (MAX_LABEL_CHARACTERS - 1) + "\u2026"),
        ("一只黑猫", "一只黑猫"),
    ],
)
def test_labels_are_cleaned_and_shortened(label: str, clean: str):
    assert clean_label(label, MAX_LABEL_CHARACTERS) == clean


def test_a_label_of_a_million_characters_takes_no_time():
    label = "x\x00" * 5_000_000
    started = time.process_time()
    drawn(grey(320, 240), Detection(label, Box(0, 0.5, 1, 1)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("label", ["\x00\x01", "\ud800", "\U0010ffff", "\u202e"])
def test_labels_that_show_nothing(label: str):
    drawn(grey(320, 240), Detection(label, Box(0, 0.5, 1, 1)))


def test_different_chinese_labels_look_different():
    """With a font for them or without: never the same empty boxes."""
    font = label_font(20)
    assert font.showable("猫") != font.showable("狗")
    one = drawn(grey(320, 240), Detection("猫", Box(0.2, 0.5, 1, 1)))
    other = drawn(grey(320, 240), Detection("狗", Box(0.2, 0.5, 1, 1)))
    assert (one != other).any()


def test_without_any_other_font_characters_become_codes(monkeypatch: pytest.MonkeyPatch):
    from qwen3vl_nodes.utils.drawing import fonts

    monkeypatch.setattr(fonts, "WIDE_FONTS", ())
    fonts.label_font.cache_clear()
    try:
        assert fonts.label_font(20).showable("a 猫") == "a \\u732b"
    finally:
        fonts.label_font.cache_clear()


def test_hundreds_of_boxes_are_quick():
    items = [Detection(f"thing {n}", Box(0.1, 0.1, 0.2 + n / 1000, 0.9)) for n in range(300)]
    started = time.perf_counter()
    drawn(grey(1024, 768), *items)
    assert time.perf_counter() - started < 5
