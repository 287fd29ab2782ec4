"""The look at a server of every dialect, when it is anything but well."""

import json
import logging
import time

import pytest
from asking_servers import KEY, SHORT_S
from qwen3vl_nodes.loaders.servers import probe, remote_model, trials
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.profiles import Profile
from qwen3vl_nodes.loaders.servers.wire import transport
from qwen3vl_nodes.utils.errors import Qwen3VLError
from scripted_server import ScriptedServer, answer, chunk, response, send
from server_faults import FAILS, LATE, STRANGER, STREAM_HEAD
from server_scripts import always, cut, drips, forever, hangs, long_body, refuses, sends_on

SLACK_S = 10
# Of a look or a trial that is sure to be too slow.
WAITED_OUT_S = 0.05
MODEL = "Qwen3-VL-8B"
# What a well server of each kind says of itself.
HONEST = {
    "vllm": {
        "/v1/models": {"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 4096}]},
        "/version": {"version": "0.32.0"},
    },
    "sglang": {
        "/v1/models": {"data": [{"id": MODEL, "owned_by": "sglang", "max_model_len": 4096}]},
        "/model_info": {"model_path": MODEL, "has_image_understanding": True},
        "/server_info": {"version": "0.5"},
    },
    "llama_cpp": {
        "/v1/models": {"data": [{"id": MODEL, "owned_by": "llamacpp"}]},
        "/props": {"default_generation_settings": {"n_ctx": 8192}, "modalities": {"vision": True}},
    },
    "lm_studio": {
        "/v1/models": {"data": [{"id": MODEL, "owned_by": "organization_owner"}]},
        "/api/v1/models": {"models": [{"key": MODEL, "capabilities": {"vision": True}}]},
    },
    "ollama": {
        "/v1/models": {"data": [{"id": MODEL, "owned_by": "library"}]},
        "/api/version": {"version": "0.35.1"},
    },
    "dashscope": {"/v1/models": {"data": [{"id": MODEL}]}},
    "transformers": {"/v1/models": {"data": [{"id": MODEL}]}},
    "openai": {"/v1/models": {"data": [{"id": MODEL}]}},
}
JSON_HEAD = STREAM_HEAD.replace(b"text/event-stream", b"application/json")
FAULTS = {
    "page": always(response("<html>hello", kind="text/html")),
    "empty": always(response(b"")),
    "list": always(response(b"[1]")),
    "null": always(response(b"null")),
    "deep": always(response(b"[" * 100_000)),
    "error with 200": always(response({"error": "Unexpected endpoint or method. (GET /x)"})),
    "truncated": always(response(b'{"data": [{"id": "m')),
    "no text": always(response(b"\xff\xfe")),
    "compressed": always(response(b"x", Content_Encoding="gzip")),
    "a gigabyte": long_body(b"application/json", 1 << 30),
    "without end": forever(JSON_HEAD, chunk(b" " * 65_536)),
    "to a stranger": sends_on(302, lambda: STRANGER.origin),
    "cut": cut(times=10**9),
    "cut in its body": cut(response({"data": []}, Content_Length="999"), times=10**9),
    "not HTTP": cut(b"SSH-2.0-OpenSSH\r\n", times=10**9),
    **{f"{s}": refuses(s, f"no, {KEY}", times=10**9)
       for s in (400, 401, 403, 404, 405, 408, 429, 500, 502, 503)},
    "429 for a day": refuses(429, "quota", times=10**9, Retry_After="86400"),
}  # fmt: skip
SLOW = {
    "silent": hangs(),
    "headers by drips": drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "body by drips": drips(response(b"", Content_Length="99999"), b" "),
}
# Values that stand where others are meant.
ODD = [None, True, -1, 1e400, 10**400, "", "x" * 1_000_000, [], [[]], {}, {"id": 3}, [{"id": None}],
       [{"id": ""}], [{"id": "\ud800\x1b[31m\u202e\n" + "y" * 100_000}]]  # fmt: skip


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(transport, "MAX_WHOLE_BYTES", 8 << 20)
    monkeypatch.setattr(probe, "LOOK_SECONDS", SHORT_S)
    monkeypatch.setenv("HERE_KEY", KEY)


@pytest.fixture(scope="module", autouse=True)
def stranger():
    with STRANGER:
        yield
    assert STRANGER.seen == []


def serving(answers, faulty="", fault=answer, chat=answer):
    async def script(seen, writer):
        if seen.method == "POST":
            await chat(seen, writer)
        elif seen.path == faulty:
            await fault(seen, writer)
        elif seen.path in answers:
            await send(writer, response(answers[seen.path]))
        else:
            await send(writer, response({"detail": "Not Found"}, 404))

    return script


def looked(script, dialect, **given):
    """(what is found or said, what is shown of it, seconds)."""
    started = time.monotonic()
    with ScriptedServer(script) as server:
        named = Profile("here", (server.origin,), key_variable="HERE_KEY", dialect=dialect,
                        **{"timeout_s": SHORT_S} | given)  # fmt: skip
        try:
            found, _ = remote_model.find(named, "", lambda: None)
            shown = found.describe() + found.identity + found.name
        except Qwen3VLError as error:
            assert error.problem and error.remedy
            found, shown = error, str(error)
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)
    assert KEY not in shown and "127.0.0.1" not in shown
    shown.encode()  # a socket and a file can carry it
    assert len(shown) < 5000 and all(line.isprintable() for line in shown.split("\n"))
    return found, shown, time.monotonic() - started


def paths():
    return [(name, path) for name, answers in HONEST.items() for path in answers]


@pytest.mark.parametrize(("name", "path"), paths())
@pytest.mark.parametrize("known", [True, False])
def test_each_fault_of_each_address(name, path, known, caplog):
    caplog.set_level(logging.DEBUG)
    for fault, script in FAULTS.items():
        found, shown, _ = looked(
            serving(HONEST[name], path, script), name if known else "", max_pixels=65_536
        )
        if path != "/v1/models":  # the rest is not needed
            assert isinstance(found, remote_model.RemoteModel), (fault, shown)
            assert found.name == MODEL and found.dialect.id == name
    assert KEY not in caplog.text


@pytest.mark.parametrize(("name", "path"), paths())
@pytest.mark.parametrize("fault", SLOW)
def test_no_look_takes_longer_than_it_may(name, path, fault, monkeypatch):
    monkeypatch.setattr(probe, "LOOK_SECONDS", WAITED_OUT_S)
    found, _, seconds = looked(serving(HONEST[name], path, SLOW[fault]), name)
    assert isinstance(found, Qwen3VLError)
    assert seconds < WAITED_OUT_S + SLACK_S


def replaced(value, odd):
    """The value with each of its parts exchanged in turn."""
    yield odd
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list) else ()  # fmt: skip
    for key, part in parts:
        for new in replaced(part, odd):
            copy = value.copy()
            copy[key] = new
            yield copy


@pytest.mark.parametrize(("name", "path"), paths())
def test_odd_values_are_no_more_than_unknown(name, path):
    dialect = DIALECTS[name]
    for odd in ODD:
        for value in replaced(HONEST[name][path], odd):
            if isinstance(value, dict):
                answers = HONEST[name] | {path: value}
                assert dialect.recognised(answers) in (True, False)
                for model in dialect.facts(json.loads(json.dumps(answers))).models:
                    assert isinstance(model.context, int) and model.context >= 0
                    assert model.sees_pictures in (True, False, None)


@pytest.mark.parametrize("name", HONEST)
def test_hostile_names_are_shown_as_they_are_and_no_longer(name):
    for odd in ODD:
        listed = {"data": [{"id": "a", "owned_by": "vllm"}, {"id": odd}] if odd is None else odd}
        looked(serving(HONEST[name] | {"/v1/models": listed}), name)


def test_many_long_names_are_shortened_where_they_are_listed():
    long = {"data": [{"id": f"{n}" + "z" * 500, "owned_by": "vllm"} for n in range(100)]}
    shown = looked(serving({"/v1/models": long}), "vllm")[1]
    assert "several models: 0zzz" in shown and len(shown) < 1500


@pytest.mark.parametrize("name", [n for n, d in DIALECTS.items() if d.tries_pictures])
@pytest.mark.parametrize("fault", [*FAILS, *LATE])
def test_a_trial_that_fails_leaves_its_question_open(name, fault, monkeypatch):
    monkeypatch.setattr(transport, "MAX_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(transport, "MAX_STREAM_BYTES", 1 << 20)
    script = FAILS[fault][0] if fault in FAILS else LATE[fault]
    given = {"timeout_s": WAITED_OUT_S} if fault in LATE else {}
    found, shown, seconds = looked(serving(HONEST[name], chat=script), name, **given)
    assert isinstance(found, remote_model.RemoteModel), shown
    assert seconds < 2 * SHORT_S + SLACK_S < trials.TRIAL_SECONDS
