"""Chats as values: what is asked, undone, edited, and forgotten by whole turns."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.conversation.transcript import Chat, Turn
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.images.picture import Clip, Picture


def picture(width=64, height=32, value=0):
    return Picture(np.full((height, width, 3), value, dtype=np.uint8))


def chat(*answers, system=""):
    made = Chat(system)
    for number, answer in enumerate(answers):
        made = made.answered((f"question {number}",), answer)
    return made


def test_a_question_is_put_after_all_turns():
    shown = picture()
    messages = Chat(" be brief ").answered((shown, "What?"), "A star.", "hm").asking(("And?",))
    assert [m.role for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[0].parts == ("be brief",)
    assert messages[1].parts[0] is shown
    assert messages[2].parts == ("A star.",)  # what was thought is not read again
    assert [m.role for m in Chat("  ").asking(("x",))] == ["user"]


def test_undo_and_edit():
    two = chat("a", "b")
    assert two.without_last() == chat("a")
    edited = two.with_last_answer(" c ")
    assert [turn.answer for turn in edited.turns] == ["a", "c"]
    for wrong in (Chat().without_last, lambda: Chat().with_last_answer("x")):
        with pytest.raises(InputError, match="the chat is empty"):
            wrong()
    with pytest.raises(InputError, match="new answer is empty"):
        two.with_last_answer("  ")


def test_undo_keeps_forgotten_within_the_turns():
    forgot = Chat("", chat("a", "b").turns, forgotten=2)
    assert forgot.without_last().forgotten == 1
    with pytest.raises(InputError, match="cannot have forgotten 3"):
        Chat("", chat("a", "b").turns, forgotten=3)


def test_whole_turns_are_forgotten_oldest_first_and_stay_to_be_saved():
    long = chat("word " * 300, "b", "c")
    less = long.forgetting(10)
    assert less.forgotten == 1 and less.turns == long.turns
    assert [m.parts[0] for m in less.asking(("x",))] == ["question 1", "b", "question 2", "c", "x"]
    assert long.forgetting(100_000).forgotten == 3
    assert long.forgetting(0).forgotten == 1  # one at least: there is always a next step
    assert long.forgetting(100_000).forgetting(1).forgotten == 3  # and an end


def test_a_picture_weighs_what_it_takes():
    with_picture = Chat("", (Turn((picture(1024, 1024), "x"), "y"), Turn(("x",), "y")))
    assert with_picture.forgetting(1000).forgotten == 1
    frames = np.zeros((8, 320, 320, 3), dtype=np.uint8)
    film = Clip(frames, 2.0, tuple(range(8)), 8)
    with_film = Chat("", (Turn((film, "x"), "y"), Turn(("x",), "y")))
    assert with_film.forgetting(400).forgotten == 1
    assert with_film.pictures == 1 and with_film.forgetting(400).pictures == 0


def test_the_conversation_as_text():
    made = Chat("be brief").answered((picture(), "What?"), "A star.")
    expected = "System: be brief\n\nUser: [picture 64 x 32] What?\n\nAssistant: A star."
    assert made.text() == expected


def test_a_picture_that_is_read_already_is_known_by_its_pixels():
    made = Chat().answered((picture(value=3), "What?"), "A star.")
    assert made.shows(picture(value=3))
    assert not made.shows(picture(value=4))
    assert not made.forgetting(1).shows(picture(value=3))
