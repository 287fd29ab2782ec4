"""What a server takes for a thought, and whether it is one."""

import json

import pytest
from qwen3vl_nodes.loaders.servers.wire.answers import Writing
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
