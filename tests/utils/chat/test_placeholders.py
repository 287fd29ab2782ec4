"""`{image1}` in a prompt: order, repeats, what is not named, and names without a picture."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.chat.placeholders import placed
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Clip, Picture

A, B = (Picture(np.zeros((2, 2, 3), dtype=np.uint8)) for _ in range(2))
FILM = Clip(np.zeros((1, 2, 2, 3), dtype=np.uint8), 1.0, (0,), 1)


@pytest.mark.parametrize(
    ("words", "visuals", "parts"),
    [
        ("What?", (A, B), (A, B, "What?")),
        ("{image2} or {image1}?", (A, B), (B, " or ", A, "?")),
        ("only {image2}", (A, B), (A, "only ", B)),
        ("{image1}{image1}", (A,), (A, A)),
        ("{video1}: {image1}", (A, FILM), (FILM, ": ", A)),
        ("{images} {image} {Image1} {image01}", (A,), ("{images} {image} {Image1} ", A)),
        ('{"bbox": [1]}', (), ('{"bbox": [1]}',)),
        ("{image1}", (A,), (A,)),
    ],
)
def test_pictures_go_where_they_are_named(words, visuals, parts):
    assert placed(words, visuals) == parts


@pytest.mark.parametrize(
    ("words", "visuals", "message"),
    [
        ("{image3}", (A, B), "names {image3}, but there are 2 images"),
        ("{image0}", (A,), "names {image0}, but there is 1 image"),
        ("{image1}", (), "there are 0 images"),
        ("{video1}", (A,), "there are 0 videos"),
    ],
)
def test_a_name_without_its_picture_is_an_error(words, visuals, message):
    with pytest.raises(InputError, match=message):
        placed(words, visuals)
