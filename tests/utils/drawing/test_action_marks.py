"""What an agent would do, drawn on its screenshot."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.agents.actions import Action
from qwen3vl_nodes.utils.detection.boxes import Point
from qwen3vl_nodes.utils.drawing.action_marks import MARK, PLATE, draw_actions
from qwen3vl_nodes.utils.images.picture import Picture

SCREEN = Picture(np.full((300, 400, 3), 200, np.uint8))


def marked(*actions: Action) -> np.ndarray:
    return draw_actions(SCREEN, actions).pixels


def where(pixels: np.ndarray, color) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero((pixels == color).all(axis=-1))
    return columns, rows


def test_a_click_is_marked_where_it_is():
    columns, rows = where(marked(Action("t", "click", start=Point(0.25, 0.5))), MARK)
    assert columns.mean() == pytest.approx(100, abs=1.5)
    assert rows.mean() == pytest.approx(150, abs=1.5)


def test_a_swipe_goes_from_start_to_end():
    pixels = marked(Action("t", "swipe", start=Point(0.1, 0.9), end=Point(0.9, 0.1)))
    columns, rows = where(pixels, MARK)
    assert columns.min() < 50
    assert columns.max() > 350
    assert rows.min() < 40
    assert rows.max() > 260


def test_what_has_no_place_is_written_at_the_lower_edge():
    pixels = marked(Action("t", "type", {"text": "hi"}), Action("t", "wait", {"time": 1}))
    _, rows = where(pixels, PLATE)
    assert rows.max() == 299
    assert rows.min() > 200
    one = where(marked(Action("t", "type", {"text": "hi"})), PLATE)[1]
    assert rows.min() < one.min()  # one above the other


def test_a_refused_call_is_written_and_not_marked():
    pixels = marked(Action("t", "click", problem="There is no tool 't'."))
    assert len(where(pixels, PLATE)[0])
    assert not len(where(pixels, MARK)[0])


def test_the_screenshot_itself_stays_as_it_is():
    before = SCREEN.pixels.copy()
    marked(Action("t", "click", start=Point(0.5, 0.5)))
    assert (before == SCREEN.pixels).all()
    assert (marked() == before).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 400), (2000, 20)])
@pytest.mark.parametrize("place", [Point(0, 0), Point(1, 1)])
def test_any_screen_and_any_corner(size_wh, place):
    blank = Picture(np.zeros((size_wh[1], size_wh[0], 3), np.uint8))
    long = Action("t", "type", {"text": "x" * 5000 + "\n猫\ud800"}, start=place, end=place)
    assert draw_actions(blank, [long] * 50).size_wh == size_wh
