"""The talk that looks closer: crops, refusals, its end, and what it costs."""

import json

import numpy as np
import pytest
from qwen3vl_nodes.utils.agents.closer import MIN_CROP_PIXELS, closer, crop_region
from qwen3vl_nodes.utils.agents.zoom_talk import MAX_REFUSALS, ZoomTalk
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.requests import Reply
from qwen3vl_nodes.utils.detection.boxes import Box
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Picture


def picture(width: int = 400, height: int = 200) -> Picture:
    """Its red counts columns and its green rows, so that a crop tells where it is from."""
    columns, rows = np.meshgrid(np.arange(width) % 256, np.arange(height) % 256)
    return Picture(np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8))


def reply(text: str, stopped_by="end") -> Reply:
    return Reply(text, "", stopped_by, 10, 100, 1.0, 0.5)


def zoom(box, index: float = 0, label="a thing", before="") -> str:
    arguments = {"label": label, "bbox_2d": box, "img_idx": index}
    call = json.dumps({"name": "image_zoom_in_tool", "arguments": arguments})
    return f"{before}<tool_call>\n{call}\n</tool_call>"


def talk(most=3, pictures=None, **more) -> ZoomTalk:
    return ZoomTalk(pictures or [picture()], "What is small?", most, **more)


def test_an_answer_at_once_ends_it():
    one = talk()
    assert "image_zoom_in_tool" in one.request().messages[0].parts[0]
    one.take(reply("A red circle."))
    assert (one.done, one.answer, one.looks, one.notes) == (True, "A red circle.", [], [])


def test_a_look_comes_back_as_a_tool_response():
    one = talk()
    one.take(reply(zoom([500, 0, 750, 500], before="Closer.\n")))
    assert not one.done
    assistant, response = one.messages[-2:]
    assert assistant.role == "assistant"
    assert assistant.parts[0].startswith("Closer.\n<tool_call>")
    assert response.role == "user"
    before, crop, after = response.parts
    assert (before, after) == ("<tool_response>\n", "\n</tool_response>")
    (look,) = one.looks
    assert look.region_xyxy == (200, 0, 300, 100)
    assert (look.picture, look.index, look.label) == (0, 1, "a thing")
    assert crop is look.crop
    assert crop.size_wh[0] * crop.size_wh[1] >= MIN_CROP_PIXELS
    assert abs(int(crop.pixels[0, 0, 0]) - 200) < 3
    one.take(reply("A star."))
    assert one.answer == "A star."
    assert one.lines[0] == "user: What is small?"
    assert "image 1, a part of image 0: [200, 0, 300, 100]" in one.lines[2]


def test_a_look_at_a_crop_is_a_part_of_the_picture_below_it():
    one = talk()
    one.take(reply(zoom([500, 0, 1000, 1000])))
    one.take(reply(zoom([500, 500, 1000, 1000], index=1)))
    assert [look.region_xyxy for look in one.looks] == [(200, 0, 400, 200), (300, 100, 400, 200)]
    assert [look.picture for look in one.looks] == [0, 0]


def test_pictures_are_counted_from_0_and_crops_behind_them():
    one = talk(pictures=[picture(), picture(100, 100)])
    one.take(reply(zoom([0, 0, 500, 500], index=1)))
    assert one.looks[0].picture == 1
    assert one.looks[0].index == 2
    one.take(reply(zoom([0, 0, 500, 500], index=3)))
    assert "no image 3; they go from 0 to 2" in one.notes[0]
    one.take(reply(zoom([0, 0, 500, 500], index=0.5)))
    assert "no image 0.5" in one.notes[1]


def test_several_calls_in_one_reply_get_a_response_each():
    one = talk()
    one.take(reply(zoom([0, 0, 300, 300]) + "\n" + zoom([600, 600, 900, 900])))
    parts = one.messages[-1].parts
    assert [part for part in parts if isinstance(part, Picture)] == [x.crop for x in one.looks]
    assert "".join(part for part in parts if isinstance(part, str)) == (
        "<tool_response>\n\n</tool_response>\n<tool_response>\n\n</tool_response>"
    )


def test_the_same_region_again_is_noticed():
    one = talk()
    one.take(reply(zoom([100, 100, 500, 500])))
    one.take(reply(zoom([101, 100, 502, 500])))
    assert len(one.looks) == 1
    assert "already: it is image 1" in one.messages[-1].parts[1]
    one.take(reply(zoom([600, 100, 900, 500])))
    assert len(one.looks) == 2


def test_after_the_last_look_it_is_told_to_answer():
    one = talk(most=1)
    one.take(reply(zoom([0, 0, 300, 300])))
    one.take(reply(zoom([500, 0, 800, 300])))
    assert len(one.looks) == 1
    assert "cannot look closer any more" in one.messages[-1].parts[1]
    one.take(reply("It is a star."))
    assert one.answer == "It is a star."


def test_a_model_that_never_answers_is_stopped():
    one = talk(most=1)
    for step in range(1 + MAX_REFUSALS):
        assert not one.done
        one.take(reply(zoom([0, 0, 300, 300], before="Hm. ")))
        assert len(one.replies) == step + 1
    assert not one.done
    one.take(reply(zoom([0, 0, 300, 300], before="Hm. ")))
    assert one.done
    assert one.answer == "Hm."
    assert "went on calling the tool" in one.notes[-1]


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>look there</tool_call>",
        '<tool_call>{"name": "image_search", "arguments": {"query": "x"}}</tool_call>',
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"label": "a"}}</tool_call>',
        zoom([1, 2, 3]),
        zoom("the left half"),
    ],
)
def test_a_call_that_is_none_gets_words_back(text: str):
    one = talk()
    one.take(reply(text))
    assert not one.looks
    assert not one.done
    assert "Error" in one.messages[-1].parts[1]
    assert one.notes


def test_a_reply_that_is_cut_off_ends_it_and_is_said():
    one = talk()
    one.take(reply('I look. <tool_call>{"name": "image_zoom', stopped_by="length"))
    assert one.done
    assert one.answer == "I look."
    assert "cut off" in one.notes[0]


def test_nesting_that_no_model_writes_ends_it():
    one = talk()
    one.take(reply("<tool_call>" + "[" * 1000))
    assert one.done
    assert "unreadable" in one.notes[0]


def test_without_a_look_the_tool_is_not_offered():
    one = talk(most=0, system_prompt="Be brief.")
    assert [message.role for message in one.messages] == ["system", "user"]
    assert one.messages[0].parts == ("Be brief.",)


def test_options_and_seeds():
    options = GenerationOptions(max_new_tokens=7)
    one = talk(options=options, seed=0xFFFF_FFFF_FFFF_FFFF)
    assert one.request().seed == 0xFFFF_FFFF_FFFF_FFFF
    one.take(reply(zoom([0, 0, 300, 300])))
    assert one.request().seed == 0
    assert one.request().options is options


@pytest.mark.parametrize(("question", "most"), [("  ", 1), ("What?", -1), ("What?", 33)])
def test_a_talk_checks_its_settings(question, most):
    with pytest.raises(InputError):
        ZoomTalk([picture()], question, most)
    with pytest.raises(InputError):
        ZoomTalk([], "What?", 1)


@pytest.mark.parametrize(
    ("box", "region"),
    [
        (Box(0.5, 0.5, 0.5, 0.5), (184, 84, 216, 116)),  # nothing: a token about its place
        (Box(0, 0, 0.01, 0.01), (0, 0, 32, 32)),
        (Box(0.99, 0.99, 1, 1), (368, 168, 400, 200)),
        (Box(0, 0, 1, 1), (0, 0, 400, 200)),
        (Box(0, 0.5, 1, 0.5), (0, 84, 400, 116)),
    ],
)
def test_a_region_is_never_empty_and_inside(box, region):
    assert crop_region(box, 400, 200) == region
    assert closer(picture(), region).size_wh[0] >= 32


@pytest.mark.parametrize("size_wh", [(1, 1), (5, 4000), (20_000, 8), (31, 33)])
def test_regions_of_any_picture_can_be_shown(size_wh):
    width, height = size_wh
    blank = Picture(np.zeros((height, width, 3), np.uint8))
    for box in (Box(0, 0, 1, 0.5), Box(0.5, 0.2, 0.5, 0.9), Box(0, 0, 0, 0), Box(1, 1, 1, 1)):
        x1, y1, x2, y2 = crop_region(box, width, height)
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        if max(size_wh) / min(size_wh) < 200:
            closer(blank, (x1, y1, x2, y2))
