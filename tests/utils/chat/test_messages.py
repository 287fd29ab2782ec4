"""Messages, options, requests and replies check themselves."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.chat.generation_options import OPTION_RANGES, GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.chat.sampling import OFFICIAL, resolve
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Clip, Picture


def picture(height=4, width=6):
    return Picture(np.zeros((height, width, 3), np.uint8))


def test_a_picture_knows_its_size():
    assert picture(4, 6).size_wh == (6, 4)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        "https://example.com/a.png",
        [[0]],
    ],
    ids=["float", "alpha", "grey", "empty", "address", "list"],
)
def test_only_rgb_bytes_are_a_picture(pixels):
    with pytest.raises(InputError, match="A picture is uint8"):
        Picture(pixels)


def test_a_clip_needs_a_number_for_each_frame_and_a_rate():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(InputError, match="2 frames has 1 frame numbers"):
        Clip(frames, 24.0, (0,), 10)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="frames a second"):
            Clip(frames, rate, (0, 1), 10)


@pytest.mark.parametrize("name", OPTION_RANGES)
def test_options_outside_their_range_are_named(name):
    low, high = OPTION_RANGES[name]
    for value in (low, high):
        assert getattr(GenerationOptions(**{name: value}), name) == value
    for value in (low - 1, high + 1, float("nan")):
        with pytest.raises(InputError, match=name):
            GenerationOptions(**{name: value})


def test_min_pixels_above_max_pixels_is_refused():
    with pytest.raises(InputError, match="larger than max_pixels"):
        GenerationOptions(min_pixels=90_000, max_pixels=80_000)


def test_filling_keeps_what_was_set_zero_included():
    mine = GenerationOptions(temperature=0.0, stop=("a",))
    filled = mine.filled_from(GenerationOptions(temperature=1.0, top_k=5, stop=("b",)))
    assert (filled.temperature, filled.top_k, filled.stop) == (0.0, 5, ("a",))


def test_a_request_must_ask_something():
    with pytest.raises(InputError, match="no message"):
        Request(())
    with pytest.raises(InputError, match="nothing is asked"):
        Request((Message("user", ("hi",)), Message("assistant", ("hello",))))
    with pytest.raises(InputError, match="not a role"):
        Message("robot", ("hi",))


def test_vision_is_noticed_anywhere_in_the_chat():
    words = Message("user", ("hi",))
    assert not Request((words,)).has_vision
    earlier = (Message("user", (picture(), "what?")), Message("assistant", ("x",)), words)
    assert Request(earlier).has_vision


@pytest.mark.parametrize(
    ("edition", "vision", "expected"),
    [
        ("instruct", True, (16_384, 0.7, 0.8, 20, 1.0, 1.5)),
        ("instruct", False, (32_768, 1.0, 1.0, 40, 1.0, 2.0)),
        ("thinking", True, (40_960, 0.6, 0.95, 20, 1.0, 0.0)),
        ("thinking", False, (40_960, 0.6, 0.95, 20, 1.0, 0.0)),
    ],
)
def test_official_sampling(edition, vision, expected):
    chosen = resolve(GenerationOptions(), edition, vision)
    assert chosen == OFFICIAL[edition, vision]
    assert expected == (
        chosen.max_new_tokens,
        chosen.temperature,
        chosen.top_p,
        chosen.top_k,
        chosen.repetition_penalty,
        chosen.presence_penalty,
    )


def test_own_values_go_over_the_official_ones_also_zero():
    chosen = resolve(GenerationOptions(temperature=0.0, presence_penalty=0.0), "instruct", True)
    assert (chosen.temperature, chosen.presence_penalty, chosen.top_p) == (0.0, 0.0, 0.8)


def test_a_reply_measures_decoding_without_the_prompt():
    reply = Reply("a", "", "end", 11, 5, seconds=3.0, first_token_seconds=1.0)
    assert reply.tokens_per_second == 5.0
    assert Reply("a", "", "end", 1, 5, 1.0, 1.0).tokens_per_second == 0.0
    assert not reply.truncated
    assert Reply("a", "", "length", 1, 5, 1.0, 1.0).truncated
