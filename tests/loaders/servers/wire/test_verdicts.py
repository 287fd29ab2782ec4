"""Which refusals are asked again and when, and in which words the others are told."""

import time

import pytest
from qwen3vl_nodes.loaders.servers.wire.verdicts import (
    MAX_RETRY_AFTER_S,
    broken,
    refused,
    retry_after_s,
    told_inside,
    too_slow,
    unreachable,
    untrusted,
)
from qwen3vl_nodes.utils.errors import ContextFullError, TooLargeError

NOW = 1_445_412_400.0  # 20 s before the date below
DATE = "Wed, 21 Oct 2015 07:27:00 GMT"


@pytest.fixture
def in_tokyo(monkeypatch):
    """A date that names no zone is GMT all the same."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": DATE}, 20.0),
        ({"retry-after": "Wednesday, 21-Oct-15 07:27:00 GMT"}, 20.0),
        ({"retry-after": "Wed Oct 21 07:27:00 2015"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 -0000"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2015 16:27:00 +0900"}, 20.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 9999 07:00:00 GMT"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "1e308"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "inf"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
    ],
)
def test_every_form_of_retry_after(headers, seconds, in_tokyo):
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "again", "waits", "busy"),
    [
        (204, False, False, False), (301, False, False, False), (308, False, False, False),
        (400, False, False, False), (401, False, False, False), (403, False, False, False),
        (404, False, False, False), (405, False, False, False), (413, False, False, False),
        (422, False, False, False), (408, True, True, False), (409, True, True, False),
        (425, True, True, False), (429, True, True, True), (500, True, False, False),
        (501, True, False, False), (502, True, True, False), (503, True, True, True),
        (504, True, True, False), (529, True, True, True),
    ],
)  # fmt: skip
def test_what_may_be_asked_again(status, again, waits, busy):
    trouble = refused("here", status, {"retry-after": "2"}, "", NOW)
    assert (trouble.again, trouble.waits, trouble.busy) == (again, waits, busy)
    assert trouble.after_s == (2.0 if waits else None)


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (400, "This model's maximum context length is 4096 tokens.", "more context"),
        (400, "the request exceeds the available context size (8192)", "more context"),
        (400, "max_tokens is too large: 99999. max_model_len 4096", "more context"),
        (400, "Input is too long for this model", "more context"),
        (400, "tiny is not a multimodal model", "vision model"),
        (400, "At most 0 image(s) may be provided in one prompt.", "vision model"),
        (500, "image input is not supported - hint: you need to provide the mmproj", "vision"),
        (500, "this model is missing data required for image input", "vision model"),
        (400, "Invalid content type. image_url is only supported by certain models.", "vision"),
        (400, "messages[0].content must be a string", "vision model"),
        (400, "Model does not support images. Please use a model that does.", "vision model"),
        (400, "<400> InternalError: Range of input length should be [1, 129024]", "more context"),
        (400, "prompt token count of 200000 exceeds the limit of 128000", "more context"),
        (400, "Please reduce the length of the messages or completion", "more context"),
        (400, "Input data may contain inappropriate content.", "leave it out"),
        (404, "The model `x` does not exist.", "a model that the server has"),
        (400, "model 'x' not found, try pulling it first", "a model that the server has"),
        (413, "", "smaller pictures"),
        (401, "no", "key_variable"),
        (400, "temperature must be positive", "the settings"),
    ],
)
def test_what_helps_against_a_refusal(status, said, remedy):
    error = refused("here", status, {}, said, NOW).error
    assert remedy in error.remedy
    assert said in error.problem
    assert isinstance(error, ContextFullError) == ("more context" in error.remedy)
    assert isinstance(error, TooLargeError) == (status == 413)


@pytest.mark.parametrize(
    ("said", "excess"),
    [
        ("maximum context length is 4096 tokens. Your request has 5000 input tokens.", 904),
        ("request (9000 tokens) exceeds the available context size (8192 tokens), id 17", 808),
        ("Input is too long", 1),
        ("maximum context length is 4096 tokens.", 1),
    ],
)
def test_how_much_too_long_a_prompt_is(said, excess):
    assert refused("here", 400, {}, said, NOW).error.excess == excess


def test_an_error_with_a_status_of_success_is_told_as_if_refused():
    known = told_inside("here", "Trying to keep the first 9000 tokens when context overflows")
    assert isinstance(known.error, ContextFullError) and not known.again
    other = told_inside("here", "CUDA out of memory")
    assert other.again and "it is an error. It says: CUDA out of memory" in other.error.problem


def test_words_of_a_server_are_bounded():
    assert len(str(refused("here", 400, {}, "x" * 10_000, NOW).error)) < 500


def test_the_other_troubles():
    away, bad = unreachable("here", "nothing listens there"), broken("here", "it is empty")
    assert away.down and away.waits and away.again
    assert bad.again and not bad.waits and not bad.down
    assert not untrusted("here").again
    assert "Before that: The server 'here' cannot be reached" in str(too_slow("here", 3, away))
