"""Saved chats: there and back, and every way in which a file can be wrong."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.utils.conversation import saved_transcript
from qwen3vl_nodes.utils.conversation.saved_transcript import from_json, to_json
from qwen3vl_nodes.utils.conversation.transcript import Chat, Turn
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Clip, Picture


def noise(*shape):
    return np.random.default_rng(list(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)


def full_chat():
    shown = Picture(noise(5, 7))
    film = Clip(noise(3, 4, 6), 2.5, (0, 2, 5), 9, (0.0, 1.5, 1.5), True)
    return Chat(
        "规则 \u2028",
        (
            Turn((shown, "first “words”"), "an answer", "thoughts"),
            Turn((film, "then", shown), "b"),
        ),
        forgotten=1,
    )


def test_there_and_back_with_pictures_and_clips():
    chat = full_chat()
    back = from_json(to_json(chat), "x.json")
    assert (back.system_prompt, back.forgotten) == (chat.system_prompt, 1)
    assert [(t.answer, t.thinking) for t in back.turns] == [("an answer", "thoughts"), ("b", "")]
    assert np.array_equal(back.turns[0].asked[0].pixels, chat.turns[0].asked[0].pixels)
    film = back.turns[1].asked[0]
    assert np.array_equal(film.frames, chat.turns[1].asked[0].frames)
    assert (film.source_fps, film.indices, film.total_frames) == (2.5, (0, 2, 5), 9)
    assert (film.seconds, film.keep_size) == ((0.0, 1.5, 1.5), True)
    assert back.turns[1].asked[2] is back.turns[0].asked[0]  # stored once
    assert to_json(back) == to_json(chat)


def test_the_form_of_version_1():
    chat = Chat("s", (Turn(("q",), "a"),))
    assert json.loads(to_json(chat)) == {
        "format": "qwen3vl-chat",
        "version": 1,
        "system_prompt": "s",
        "forgotten": 0,
        "turns": [{"asked": [{"text": "q"}], "answer": "a", "thinking": ""}],
        "pictures": [],
        "clips": [],
    }


def test_two_clips_of_the_same_frames_at_other_times_are_two():
    frames = noise(2, 4, 4)
    clips = [Clip(frames, 2.0, (0, 1), 2), Clip(frames, 4.0, (0, 1), 2)]
    saved = json.loads(to_json(Chat("", (Turn((*clips, "x"), "y"),))))
    assert [clip["source_fps"] for clip in saved["clips"]] == [2.0, 4.0]


def changed(path, value):
    saved = json.loads(to_json(full_chat()))
    place = saved
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(saved)


REMOVED = object()
WRONG = [
    (["format"], "other", "no saved Qwen3-VL chat: its format is 'other'"),
    (["version"], 2, "version 2 by a newer release; this one reads up to 1"),
    (["version"], True, "version is not a whole number"),
    (["version"], 0, "version is not a whole number"),
    (["turns"], REMOVED, "lacks turns"),
    (["turns"], {}, "turns is no list"),
    (["turns", 0], [], r"turns\[0\] is no object"),
    (["turns", 0, "asked"], [], r"turns\[0\].asked is empty"),
    (["turns", 0, "asked", 0], {"picture": 5}, r"turns\[0\].asked\[0\].picture is not a whole"),
    (["turns", 0, "asked", 0], {"picture": -1}, "is not a whole number from 0"),
    (["turns", 0, "asked", 0], {"url": "http://x"}, "is 'url', not text, picture or clip"),
    (["turns", 0, "asked", 0], {"text": "a", "picture": 0}, "is not one of text, picture, clip"),
    (["turns", 0, "answer"], None, r"turns\[0\].answer is no text"),
    (["turns", 0, "note"], "x", r"turns\[0\] has 'note', which means nothing here"),
    (["extra"], 1, "has 'extra', which means nothing here"),
    (["forgotten"], 3, "forgotten is not a whole number from 0 to 2"),
    (["pictures", 0, "png"], "%%%", r"pictures\[0\].png is no base64"),
    (["pictures", 0, "png"], "AAAA", r"pictures\[0\].png is no readable PNG"),
    (["pictures", 0], {"path": "/etc/passwd"}, "has 'path', which means nothing here"),
    (["clips", 0, "frames"], [], "is empty, or its frames differ"),
    (["clips", 0, "source_fps"], "fast", "source_fps is no number"),
    (["clips", 0, "source_fps"], -1, "frames a second"),
    (["clips", 0, "keep_size"], 1, "neither true nor false"),
    (["clips", 0, "seconds", 1], None, r"seconds\[1\] is no number"),
    (["clips", 0, "seconds"], [2, 1, 0], "do not rise"),
    (["clips", 0, "indices"], [0, 1], "frame numbers"),
    (["clips", 0, "indices", 0], 9, r"indices\[0\] is not a whole number from 0 to 8"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_a_file_edited_wrongly_is_refused_by_its_place(path, value, message):
    with pytest.raises(InputError, match=message):
        from_json(changed(path, value), "x.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"a": NaN', "\x00"])
def test_what_is_no_json_or_no_object_is_refused(text):
    with pytest.raises(InputError, match=r"x\.json"):
        from_json(text, "x.json")


def test_pixels_are_counted_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(saved_transcript, "MAX_PIXELS", 5 * 7 + 3 * 4 * 6)
    from_json(to_json(full_chat()), "x.json")
    monkeypatch.setattr(saved_transcript, "MAX_PIXELS", 5 * 7 + 3 * 4 * 6 - 1)
    with pytest.raises(InputError, match="brings the pixels of the chat above 106"):
        from_json(to_json(full_chat()), "x.json")


def test_a_file_too_large_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr(saved_transcript, "MAX_CHAT_BYTES", 100)
    with pytest.raises(InputError, match="Save a shorter chat"):
        from_json(to_json(full_chat()), "x.json")


def test_every_prefix_is_an_error():
    text = to_json(full_chat())
    for end in range(0, len(text), 7):
        with pytest.raises(InputError):
            from_json(text[:end], "x.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PLACES = [["turns"], ["turns", 0], ["turns", 1, "asked", 0], ["pictures", 0], ["clips", 0],
          ["clips", 0, "frames", 1], ["system_prompt"], ["version"], ["forgotten"]]  # fmt: skip


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_anywhere_is_read_or_refused(path, value):
    with suppress(InputError):
        from_json(changed(path, value), "x.json")
