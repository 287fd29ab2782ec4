"""Masks over pictures: what is seen, hidden, cropped, and masks that fit nothing."""

import numpy as np
import pytest
import torch
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.masking import CROP, HIDE, SHOW, masked
from qwen3vl_nodes.utils.images.picture import Picture

WHITE = Picture(np.full((10, 20, 3), 255, dtype=np.uint8))


def mask(top, bottom, left, right, height=10, width=20):
    plane = torch.zeros(1, height, width)
    plane[:, top:bottom, left:right] = 1.0
    return plane


def seen(picture):
    return picture.pixels[..., 0] == 255


def test_only_the_marked_part_is_shown_or_hidden():
    (shown,) = masked([WHITE], mask(2, 5, 4, 9), SHOW)
    (hidden,) = masked([WHITE], mask(2, 5, 4, 9), HIDE)
    assert seen(shown).sum() == 15 and seen(shown)[2:5, 4:9].all()
    assert (seen(hidden) == ~seen(shown)).all()
    assert set(np.unique(shown.pixels)) == {127, 255}
    assert (WHITE.pixels == 255).all()  # the picture itself is left alone


def test_a_crop_keeps_a_little_around():
    picture = Picture(np.zeros((100, 200, 3), dtype=np.uint8))
    (cropped,) = masked([picture], mask(20, 60, 50, 150, 100, 200), CROP)
    assert cropped.size_wh == (110, 50)
    (edge,) = masked([picture], mask(0, 100, 0, 200, 100, 200), CROP)
    assert edge.size_wh == (200, 100)


def test_a_mask_of_another_size_is_stretched():
    (shown,) = masked([WHITE], mask(0, 5, 0, 5, 10, 10), SHOW)
    assert seen(shown)[0, 0] and seen(shown)[:5, :9].all() and not seen(shown)[:, 11:].any()


def test_one_mask_for_all_or_one_for_each():
    both = torch.cat([mask(0, 1, 0, 1), mask(0, 2, 0, 1)])
    assert [seen(p).sum() for p in masked([WHITE, WHITE], both, SHOW)] == [1, 2]
    assert [seen(p).sum() for p in masked([WHITE, WHITE], mask(0, 1, 0, 1), SHOW)] == [1, 1]
    with pytest.raises(InputError, match="2 masks for 3 pictures"):
        masked([WHITE] * 3, both, SHOW)


@pytest.mark.parametrize("use", [SHOW, CROP])
def test_a_mask_that_marks_nothing_would_show_nothing(use):
    with pytest.raises(InputError, match="mask of picture 1 marks nothing"):
        masked([WHITE], torch.zeros(1, 64, 64), use)
    (same,) = masked([WHITE], torch.zeros(1, 64, 64), HIDE)
    assert seen(same).all()


@pytest.mark.parametrize(
    "plane",
    [mask(0, 10, 0, 20)[0], mask(0, 10, 0, 20)[..., None], mask(0, 10, 0, 20)[:, None],
     torch.full((1, 10, 20), float("inf")), mask(0, 10, 0, 20).half()],
    ids=["flat", "last channel", "first channel", "infinite", "half"],
)  # fmt: skip
def test_masks_of_other_forms(plane):
    (shown,) = masked([WHITE], plane, SHOW)
    assert seen(shown).all()


@pytest.mark.parametrize("plane", [torch.zeros(0, 4, 4), torch.zeros(1, 2, 3, 4), torch.zeros(5)])
def test_what_is_no_mask_is_refused(plane):
    with pytest.raises(InputError, match="A MASK has the shape"):
        masked([WHITE], plane, SHOW)


def test_missing_values_mark_nothing():
    with pytest.raises(InputError, match="marks nothing"):
        masked([WHITE], torch.full((1, 10, 20), float("nan")), SHOW)
