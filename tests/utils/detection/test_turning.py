"""Turned pictures: upright for the model, and places back where they are."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.detection.boxes import Box, Detection, Detections, Point
from qwen3vl_nodes.utils.detection.turning import DEGREES, Rotation
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Picture


def picture_with_a_mark(width=80, height=40):
    """Black, with a white mark of which no turn is like another; its box."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[4:12, 8:40] = 255
    return Picture(pixels), Box.from_pixels(8, 4, 40, 12, width, height)


def turned(picture: Picture, degrees: int) -> Picture:
    return Picture(np.ascontiguousarray(np.rot90(picture.pixels, -degrees // 90)))


@pytest.mark.parametrize("degrees", DEGREES)
def test_a_turned_picture_is_upright_again(degrees):
    picture, _ = picture_with_a_mark()
    upright = Rotation(degrees).upright(turned(picture, degrees))
    assert np.array_equal(upright.pixels, picture.pixels)


@pytest.mark.parametrize("degrees", DEGREES)
def test_a_box_comes_back_onto_the_picture_as_it_is(degrees):
    picture, box = picture_with_a_mark()
    shown = turned(picture, degrees)
    items = (Detection("mark", box), Detection("corner", Point(box.x1, box.y1)))
    found = Rotation(degrees).places_on(shown, Detections(*picture.size_wh, items))
    assert (found.width, found.height) == shown.size_wh
    x1, y1, x2, y2 = found.items[0].shape.to_pixels(*shown.size_wh)
    expected = np.zeros_like(shown.pixels)
    expected[y1:y2, x1:x2] = 255
    assert np.array_equal(expected, shown.pixels)
    assert found.items[0].label == "mark"
    x, y = found.items[1].shape.x, found.items[1].shape.y
    corner = found.items[0].shape
    assert min(abs(x - corner.x1), abs(x - corner.x2)) < 1e-9
    assert min(abs(y - corner.y1), abs(y - corner.y2)) < 1e-9


def test_nothing_is_copied_where_nothing_is_turned():
    picture, _ = picture_with_a_mark()
    assert Rotation().upright(picture) is picture


def test_other_turns_are_refused():
    with pytest.raises(InputError, match="45"):
        Rotation(45)
