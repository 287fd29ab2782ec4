"""IMAGE tensors of any sort become pictures, and pictures get the size the model sees."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from qwen3vl_nodes.utils.images.resize import fit_size_wh, resize_clip, resize_picture
from qwen3vl_nodes.utils.images.tensors import pictures_from_tensor


def only(images):
    pictures = pictures_from_tensor(images)
    assert len(pictures) == 1
    return pictures[0].pixels


def test_a_batch_gives_a_picture_each_in_order():
    images = torch.stack([torch.full((2, 3, 3), v) for v in (0.0, 0.5, 1.0)])
    pictures = pictures_from_tensor(images)
    assert [p.pixels[0, 0, 0] for p in pictures] == [0, 128, 255]
    assert pictures[0].size_wh == (3, 2)


def test_values_outside_are_clipped_and_nan_is_black():
    values = torch.tensor([-1.0, 2.0, float("nan"), float("inf"), float("-inf"), 0.2])
    assert only(values.view(1, 1, 2, 3)).flatten().tolist() == [0, 255, 0, 0, 0, 51]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_type(dtype):
    assert only(torch.ones(1, 2, 2, 3, dtype=dtype)).min() == 255


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_whole_numbers_count_to_255(dtype):
    assert only(torch.tensor([0, 128, 255], dtype=dtype).view(1, 1, 1, 3)).max() == 255
    assert only(torch.tensor([0, 128, 255], dtype=dtype).view(1, 1, 1, 3))[0, 0, 1] == 128
    dark = only(torch.tensor([0, 1, 1], dtype=dtype).view(1, 1, 1, 3)).max()
    assert dark == (1 if dtype is torch.uint8 else 255)
    assert only(torch.ones(1, 1, 1, 3, dtype=torch.bool)).min() == 255


@pytest.mark.parametrize("images", [torch.full((1, 2, 2, 3), 200.0), torch.full((1, 2, 2, 3), 999)])
def test_a_float_picture_of_0_to_255_is_refused_and_not_white(images):
    with pytest.raises(InputError, match="values up to .* counts from 0 to 1"):
        pictures_from_tensor(images)


def test_alpha_is_laid_on_white_and_grey_becomes_rgb():
    clear_black = torch.zeros(1, 1, 1, 4)
    assert only(clear_black).tolist() == [[[255, 255, 255]]]
    assert only(torch.full((1, 1, 1, 1), 0.2)).tolist() == [[[51, 51, 51]]]


def test_a_view_that_is_not_contiguous():
    images = torch.rand(1, 6, 4, 3).transpose(1, 2)
    assert only(images).shape == (4, 6, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(0, 4, 4, 3), "holds no picture"),
        (torch.zeros(1, 0, 4, 3), "holds no picture"),
        (torch.zeros(4, 4, 3), "has the shape"),
        (torch.zeros(1, 4, 4, 2), "has the shape"),
        (None, "has the shape"),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(InputError, match=message):
        pictures_from_tensor(images)


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    low=st.integers(1, 256),
    extra=st.integers(4, 2048),
)
def test_sizes_are_multiples_of_32_inside_the_budget(width, height, low, extra):
    # Limits closer than this cannot always both be kept by multiples of 32.
    low_pixels, high_pixels = low * 1024, max(4 * low, low + extra) * 1024
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(InputError, match="longer than 200 times"):
            fit_size_wh(width, height, low_pixels, high_pixels)
        return
    fitted_w, fitted_h = fit_size_wh(width, height, low_pixels, high_pixels)
    assert fitted_w % 32 == fitted_h % 32 == 0 and fitted_w and fitted_h
    # A very long picture keeps one row of squares, whatever the budget.
    assert fitted_w * fitted_h <= high_pixels or min(fitted_w, fitted_h) == 32


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((640, 480), (640, 480)), ((1, 1), (256, 256)), ((4000, 3000), (1312, 960))],
)
def test_known_sizes(size, fitted):
    assert fit_size_wh(*size, 65_536, 1280 * 1024) == fitted


def test_a_picture_of_the_right_size_is_not_touched():
    picture = Picture(np.zeros((32, 64, 3), np.uint8))
    assert resize_picture(picture, (64, 32)) is picture
    assert resize_picture(picture, (96, 32)).size_wh == (96, 32)


def test_the_frames_of_a_clip_share_its_budget():
    clip = Clip(np.zeros((4, 640, 640, 3), np.uint8), 2.0, (0, 1, 2, 3), 4)
    fitted = resize_clip(clip, 4096, 4 * 128 * 128)
    assert fitted.frames.shape == (4, 128, 128, 3)
    assert (fitted.indices, fitted.source_fps, fitted.total_frames) == ((0, 1, 2, 3), 2.0, 4)
