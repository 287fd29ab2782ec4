"""Drafts: room for the answer, text that is decoded as it comes, replies cut by an interrupt."""

import numpy as np
import pytest
from qwen3vl_nodes.loaders.engine.request.draft import Draft
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder, check_fits, sized_visuals
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.chat.sampling import OFFICIAL
from qwen3vl_nodes.utils.errors import ContextFullError
from qwen3vl_nodes.utils.images.picture import Picture
from tiny_checkpoint import build_processor

PROCESSOR = build_processor()
ENCODER = PromptEncoder(PROCESSOR)


def draft(answer_room=1, context=100, prompt_tokens=90):
    request = Request((Message("user", ("x",)),), answer_room=answer_room)
    return Draft.begin(
        request, OFFICIAL["instruct", False], ENCODER, frozenset(), context=context,
        prompt_tokens=prompt_tokens, started=0.0,
    )  # fmt: skip


def test_room_for_the_answer_is_kept():
    assert draft(answer_room=10).limit == 10
    with pytest.raises(ContextFullError, match="90 tokens, 11 more are for the answer") as caught:
        draft(answer_room=11)
    assert caught.value.excess == 1
    with pytest.raises(ContextFullError, match="has 100 tokens, but the model holds 100"):
        check_fits(100, 100)


def test_a_growing_text_is_decoded_only_as_far_as_it_is_new(monkeypatch):
    made, decoded = draft(), []
    text = "a red 猫 sits"
    plain = ENCODER.decode

    def decode(ids):
        decoded.append(len(ids))
        return plain(ids)

    monkeypatch.setattr(ENCODER, "decode", decode)
    seen = []
    for token in PROCESSOR.tokenizer(text, add_special_tokens=False)["input_ids"]:
        made.token_ids.append(token)
        seen.append(made.written())
    assert seen[-1] == text == made.text()
    assert "a red \ufffd" in seen  # a character of which bytes are missing
    assert max(decoded[:-1]) <= 4  # never the whole text but for `text` itself


def test_a_reply_that_is_interrupted_has_what_is_written():
    made = draft()
    empty = made.interrupted()
    assert (empty.text, empty.stopped_by, empty.seconds) == ("", "interrupt", 0.0)
    for token in PROCESSOR.tokenizer("a cat", add_special_tokens=False)["input_ids"]:
        made.add(token)
    assert (made.interrupted().text, made.stopped_by) == ("a cat", None)  # the draft goes on


def test_an_exact_size_is_exact():
    picture = Picture(np.zeros((50, 300, 3), dtype=np.uint8))
    options = GenerationOptions(exact_size_wh=(64, 96))
    ((sized,), _) = sized_visuals(Request((Message("user", (picture, "x")),), options), PROCESSOR)
    assert sized.size_wh == (64, 96)
