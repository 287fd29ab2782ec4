"""What a server takes for a thought, and whether it is one; and an answer of nothing."""

import json

import pytest
from qwen3vl_nodes.loaders.servers.wire.answers import BrokenAnswerError, Writing
from scripted_server import whole


def thought(finish="stop", **how):
    """A reply all of which the server took for a thought."""
    writing = Writing(**how)
    message = {"content": None, "reasoning": "A red square."}
    writing.take_whole(json.dumps(whole(message=message, finish=finish)).encode())
    reply = writing.reply(1.0, 0.5)
    return reply.text, reply.thinking


def test_a_model_that_does_not_think_has_answered():
    """vLLM with a reasoning parser calls all of an Instruct checkpoint's answer a thought."""
    assert thought() == ("A red square.", "")


@pytest.mark.parametrize(
    "how", [{"starts_thinking": True}, {"asked_to_think": True}, {"finish": "length"}]
)
def test_else_it_may_have_thought_to_the_end(how):
    assert thought(**how) == ("", "A red square.")


def test_an_answer_of_nothing_is_the_same_in_a_stream_and_in_one_piece():
    """As llama.cpp writes it: no text in any piece, or an empty one."""
    streamed, at_once = Writing(), Writing()
    for delta, finish in (({"role": "assistant", "content": None}, None), ({}, "stop")):
        piece = {"choices": [{"finish_reason": finish, "index": 0, "delta": delta}]}
        streamed.take_event(json.dumps(piece))
    streamed.take_event("[DONE]")
    at_once.take_whole(json.dumps(whole("")).encode())
    assert streamed.reply(1.0, 0.0).text == at_once.reply(1.0, 0.0).text == ""


def test_a_stream_without_an_end_or_a_text_is_no_answer():
    writing = Writing()
    writing.take_event(json.dumps({"choices": [{"delta": {"role": "assistant", "content": None}}]}))
    writing.take_event("[DONE]")
    with pytest.raises(BrokenAnswerError):
        writing.reply(1.0, 0.0)
