"""Answers of real servers, and what else may come in their place."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.loaders.servers.wire.answers import Writing, is_endless_text
from qwen3vl_nodes.loaders.servers.wire.bodies import BrokenAnswerError, error_text
from qwen3vl_nodes.utils.errors import GenerationError
from scripted_server import pieces, whole


def reply_of(data, **given):
    writing = Writing(**given)
    writing.take_whole(data if isinstance(data, bytes) else json.dumps(data).encode())
    return writing.reply(2.0, 0.5)


def streamed(*events, **given):
    writing = Writing(**given)
    for event in events:
        writing.take_event(event if isinstance(event, str) else json.dumps(event))
    return writing.reply(2.0, 0.5)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_thinking_is_kept_apart_under_each_name(key):
    message = {key: "Let me see.", "content": "\n\nA cat."}
    assert reply_of(whole(message=message)).thinking == "Let me see."
    assert reply_of(whole(message=message)).text == "A cat."
    events = [*pieces("Let me see.", key, finish=None)[:-1], *pieces("A cat."), "[DONE]"]
    assert (streamed(*events).thinking, streamed(*events).text) == ("Let me see.", "A cat.")


def test_thinking_that_the_server_leaves_in_the_text():
    assert reply_of(whole("<think>Hm.</think>\n\nA cat.")).thinking == "Hm."
    assert reply_of(whole("Hm.</think>A cat.")).text == "A cat."
    cut = reply_of(whole("Hm, so", "length"), starts_thinking=True)
    assert (cut.thinking, cut.text, cut.stopped_by) == ("Hm, so", "", "length")
    # A Thinking model that was told not to think, or a server that took an empty block out.
    assert reply_of(whole("A cat."), starts_thinking=True).text == "A cat."


def test_thinking_that_used_up_the_answer():
    reply = reply_of(whole(None, "length", {"reasoning": "Hm, so"}))
    assert (reply.text, reply.thinking, reply.truncated) == ("", "Hm, so", True)


@pytest.mark.parametrize(
    ("finish", "more", "stopped_by"),
    [
        ("stop", {}, "end"), ("length", {}, "length"), ("eos", {}, "end"), ("abort", {}, "length"),
        ("stop", {"stop_reason": "END"}, "stop_string"), ("stop", {"stop_reason": 151645}, "end"),
        ("stop", {"stop_reason": None}, "end"), (None, {}, "end"), ("odd", {}, "end"),
    ],
)  # fmt: skip
def test_why_it_ended(finish, more, stopped_by):
    assert reply_of(whole(finish=finish, **more), stop=("END",)).stopped_by == stopped_by


def test_a_stop_text_that_the_server_does_not_know_is_cut_off():
    reply = reply_of(whole("One. END two"), stop=("END", "two"))
    assert (reply.text, reply.stopped_by) == ("One.", "stop_string")
    assert streamed(*pieces("One. END two"), stop=("D t",)).text == "One. EN"


def test_counts_are_the_servers_or_those_of_the_pieces():
    reply = reply_of(whole())
    assert (reply.tokens, reply.prompt_tokens, reply.seconds) == (6, 90, 2.0)
    assert streamed(*pieces(), "[DONE]").tokens == 3
    assert streamed(*pieces(usage=False)).tokens == 5


def test_tool_calls_are_written_out_as_the_model_wrote_them():
    call = {"function": {"name": "computer_use", "arguments": '{"action": "click"}'}}
    reply = reply_of(whole(None, "tool_calls", {"tool_calls": [call]}))
    assert reply.text == (
        '<tool_call>\n{"name": "computer_use", "arguments": {"action": "click"}}\n</tool_call>'
    )


def test_an_empty_answer_is_an_answer_and_no_answer_is_none():
    assert reply_of(whole("")).text == ""
    with pytest.raises(BrokenAnswerError, match="no text"):
        reply_of(whole(None))


def test_halves_of_a_letter_are_put_together_or_replaced():
    assert reply_of(whole("A \ud83d cat")).text == "A \ufffd cat"
    assert reply_of(whole("A cat", message={"reasoning": "\udc00"})).thinking == "\ufffd"
    halves = [{"choices": [{"delta": {"content": half}}]} for half in ("A \ud83d", "\ude00")]
    assert streamed(*halves, "[DONE]").text == "A \U0001f600"
    writing = Writing()
    writing.take_event(json.dumps(halves[0]))
    assert writing.text == writing.interrupted().text == "A \ufffd"
    call = {"function": {"name": "click", "arguments": '{"text": "\\ud800"}'}}
    reply_of(whole(None, "tool_calls", {"tool_calls": [call]})).text.encode()


def test_endless_repetition_is_told():
    assert reply_of(whole("la la la. " * 400, "length")).stopped_by == "repetition"
    events = [{"choices": [{"delta": {"content": "la la la. " * 8}}]}] * 64
    assert streamed(*events).stopped_by == "repetition"
    assert not is_endless_text("la la la. " * 100)
    assert not is_endless_text("".join(f"item {n}, " for n in range(2000)))


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b'{"choices"', b"[]", b"null", b"3", b"{}", b'{"choices": 3}',
     b'{"choices": []}', b'{"choices": [3]}', b'{"choices": [{"message": []}]}', b"[" * 100_000,
     b'{"a":' * 100_000, b"\xff\xfe"],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_answer(data):
    with pytest.raises(BrokenAnswerError):
        reply_of(data)


def test_a_stream_that_ends_in_the_middle_is_no_answer():
    for end in range(len(pieces(usage=False)) - 1):
        with pytest.raises(BrokenAnswerError):
            streamed(*pieces(usage=False)[:end])


def test_the_filter_is_named():
    with pytest.raises(GenerationError, match="content filter"):
        reply_of(whole("x", "content_filter"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "delta", "content", "usage", "error", "text",
                         "finish_reason", "tool_calls", "completion_tokens", "reasoning"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_any_json_is_an_answer_or_a_typed_error(value):
    for take in (lambda: reply_of(json.dumps(value).encode()), lambda: streamed(value, "[DONE]")):
        with contextlib.suppress(BrokenAnswerError, GenerationError):
            take()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"error": {"message": "too\n long"}}, "too long"), ({"error": "gone"}, "gone"),
        ({"message": "no", "object": "error"}, "no"), ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "Field required"),
        ({"error": {"error": {"message": "x"}}}, "x"), ({}, ""), ([], ""), (3, ""), (None, ""),
    ],
)  # fmt: skip
def test_the_words_of_an_error_wherever_they_stand(value, words):
    assert error_text(value) == words
