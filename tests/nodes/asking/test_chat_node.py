"""Chat: chains, what is remembered, what is turned back, and contexts that are full."""

import pytest
import torch
from node_running import run_node
from qwen3vl_nodes.nodes.asking import chat as chat_module
from qwen3vl_nodes.nodes.asking.chat import (
    AGAIN,
    CONTINUE,
    EDIT,
    NEW,
    ONLY_SHOW,
    UNDO,
    Qwen3VLChat,
)
from qwen3vl_nodes.nodes.asking.chat_files import Qwen3VLLoadChat, Qwen3VLSaveChat
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.conversation.remembered_chats import RememberedChats
from qwen3vl_nodes.utils.errors import ContextFullError, InputError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_model import ScriptedModel

CHAT = {"question": "What?", "system_prompt": "", "seed": 0, "turn": CONTINUE, "remember": False}


@pytest.fixture(autouse=True)
def remembered(monkeypatch):
    monkeypatch.setattr(chat_module, "REMEMBERED", RememberedChats())


def ask(model, **inputs):
    """(text, thinking, report, chat, transcript)"""
    return run_node(Qwen3VLChat, **({"model": model} | CHAT | inputs)).args


def image(value=0.0, count=1):
    return torch.full((count, 8, 8, 3), value)


def roles(request):
    return [message.role for message in request.messages]


def pictures(message):
    return [part for part in message.parts if isinstance(part, Picture)]


def counting():
    made = ScriptedModel("")
    made.answer = lambda *_: f"answer {len(made.requests)}"
    return made


def test_a_chain_of_nodes_keeps_turns_and_pictures():
    model = counting()
    first = ask(model, images={"image1": image(0.1)}, system_prompt="be kind")[3]
    second = ask(model, chat=first, question="And?", images={"image1": image(0.2)})[3]
    text, _, report, third, transcript = ask(model, chat=second, question="Both?")
    assert text == "answer 3"
    last = model.requests[-1]
    assert roles(last) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [len(pictures(message)) for message in last.messages] == [0, 1, 0, 1, 0, 0]
    assert last.number_pictures and not model.requests[0].number_pictures
    assert report.startswith("3 turns, 2 pictures")
    assert transcript.startswith("System: be kind\n\nUser: [picture 8 x 8] What?")
    assert len(first.turns) == 1 and len(third.turns) == 3  # values: the chain can branch


def test_a_node_remembers_between_runs_only_if_told_so():
    model = counting()
    ask(model, remember=True)
    assert len(ask(model, remember=True)[3].turns) == 2
    assert len(ask(model)[3].turns) == 1
    assert len(ask(model, remember=True)[3].turns) == 3


def test_a_linked_chat_counts_more_than_what_is_remembered():
    model = counting()
    ask(model, remember=True)
    linked = ask(model, question="other")[3]
    assert len(ask(model, chat=linked, remember=True)[3].turns) == 2
    assert len(ask(model, remember=True)[3].turns) == 2


def test_every_run_of_a_node_that_remembers_is_a_turn():
    first, second = (Qwen3VLChat.fingerprint_inputs(remember=True) for _ in range(2))
    assert first != second  # NaN: never the same as before
    assert Qwen3VLChat.fingerprint_inputs() == Qwen3VLChat.fingerprint_inputs(remember=False)


def test_turning_back():
    model = counting()
    ask(model, remember=True, question="one")
    ask(model, remember=True, question="two")
    chat = ask(model, remember=True, question="three", turn=AGAIN)[3]
    assert [turn.question for turn in chat.turns] == ["one", "three"]
    asked = len(model.requests)
    text, _, _, chat, _ = ask(model, remember=True, turn=UNDO)
    assert text == "answer 1" and len(chat.turns) == 1
    chat = ask(model, remember=True, turn=EDIT, question="a better answer")[3]
    assert chat.turns[0].answer == "a better answer"
    assert ask(model, remember=True, turn=ONLY_SHOW)[3] == chat
    assert len(model.requests) == asked  # none of these asks anything
    chat = ask(model, remember=True, turn=NEW, question="four")[3]
    assert [turn.question for turn in chat.turns] == ["four"]
    with pytest.raises(InputError, match="the chat is empty"):
        ask(model, turn=UNDO)


def test_a_picture_that_stays_linked_is_shown_once_unless_it_is_named():
    model = counting()
    images = {"image1": image(0.3), "image2": image(0.4)}
    chat = ask(model, images=images)[3]
    _, _, report, chat, _ = ask(model, chat=chat, question="And now?", images=images)
    assert chat.pictures == 2 and "2 of its pictures the chat has already" in report
    chat = ask(model, chat=chat, question="And {image2}?", images=images)[3]
    assert [part if isinstance(part, str) else "p" for part in chat.turns[-1].asked] == [
        "p", "And ", "p", "?",
    ]  # fmt: skip


class Small(ScriptedModel):
    """Holds so many characters; reports the rest as an engine does."""

    def __init__(self, room):
        super().__init__("fine")
        self.room = room

    def generate(self, requests, on_progress=None):
        for number, request in enumerate(requests):
            words = [p for m in request.messages for p in m.parts if isinstance(p, str)]
            excess = sum(map(len, words)) - self.room
            if excess > 0:
                self.requests.append(request)
                yield number, ContextFullError("Too long.", "Shorten it.", excess)
            else:
                yield from super().generate([request])


def test_a_full_context_forgets_whole_turns_and_says_so():
    model = Small(300)
    chat = ask(model, question="a" * 200)[3]
    chat = ask(model, chat=chat, question="b" * 50)[3]
    _, _, report, chat, _ = ask(model, chat=chat, question="c" * 80)
    assert chat.forgotten == 1 and len(chat.turns) == 3
    assert "the first 1 turns are no longer read" in report
    assert [p for m in model.requests[-1].messages for p in m.parts] == [
        "b" * 50, "fine", "c" * 80,
    ]  # fmt: skip
    with pytest.raises(ContextFullError):
        ask(model, chat=chat, question="d" * 400)


def test_room_is_kept_for_the_answer():
    model = counting()
    ask(model)
    ask(model, max_new_tokens=40)
    ask(model, options=GenerationOptions(max_new_tokens=9_000))
    assert [request.answer_room for request in model.requests] == [512, 40, 512]


def test_an_empty_question_is_refused_only_where_one_is_asked():
    model = counting()
    chat = ask(model)[3]
    with pytest.raises(InputError, match="question is empty"):
        ask(model, chat=chat, question=" ")
    ask(model, chat=chat, question="", turn=ONLY_SHOW)


def test_the_browser_gets_the_conversation():
    output = run_node(Qwen3VLChat, model=counting(), **(CHAT | {"system_prompt": "s"}))
    assert output.ui["text"] == ["answer 1"]
    assert output.ui["chat"] == [
        {"role": "system", "text": "s"},
        {"role": "user", "text": "What?"},
        {"role": "assistant", "text": "answer 1"},
    ]


def test_saved_and_loaded_through_the_nodes(comfy):
    chat = ask(counting(), images={"image1": image(0.5)})[3]
    saved = run_node(Qwen3VLSaveChat, chat=chat, folder="output", name="talk")
    assert saved.args == ("output/talk.json: 1 turns, 1 pictures",)
    loaded, transcript = run_node(Qwen3VLLoadChat, folder="output", name="talk").args
    assert transcript == chat.text()
    again = ask(counting(), chat=loaded, images={"image1": image(0.5)})
    assert "1 of its pictures the chat has already" in again[2]  # the very same pixels
    stamp = Qwen3VLLoadChat.fingerprint_inputs(folder="output", name="talk")
    run_node(Qwen3VLSaveChat, chat=again[3], folder="output", name="talk")
    assert Qwen3VLLoadChat.fingerprint_inputs(folder="output", name="talk") != stamp
