"""Every dialect against a server that does all that servers, proxies and networks do wrong."""

import asyncio
import gzip
import logging
import ssl
import time

import numpy as np
import pytest
import trustme
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.remote_engine import RemoteEngine
from qwen3vl_nodes.loaders.servers.wire import dispatch, event_stream, transport
from qwen3vl_nodes.loaders.servers.wire.dispatch import TRIES
from qwen3vl_nodes.loaders.servers.wire.payload import Terms
from qwen3vl_nodes.loaders.servers.wire.sending import Rules
from qwen3vl_nodes.loaders.servers.wire.transport import Connection
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.errors import Qwen3VLError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Closed,
    ScriptedServer,
    answer,
    chunk,
    event,
    pieces,
    response,
    send,
    whole,
)

KEY = "sk-0123456789-secret"
# Long enough for a busy machine; those that test the deadline have a short one.
PATIENT_S, SHORT_S = 60.0, 0.4


def says(*data, then=answer):
    """Writes these bytes to the first request, and a good answer to every other."""

    async def script(seen, writer):
        if seen.number:
            await then(seen, writer)
        else:
            await send(writer, *data)

    return script


def always(*data, close=False):
    async def script(_seen, writer):
        await send(writer, *data)
        if close:
            raise Closed

    return script


def cut(*data, times=1):
    """Writes these bytes and cuts the line, so many times; then answers well."""

    async def script(seen, writer):
        if seen.number >= times:
            await answer(seen, writer)
            return
        await send(writer, *data)
        raise Closed

    return script


def forever(head, piece):
    async def script(_seen, writer):
        await send(writer, head)
        while True:
            await send(writer, piece)

    return script


def hangs(*data):
    async def script(_seen, writer):
        await send(writer, *data)
        await asyncio.Event().wait()

    return script


def refuses(status, said=None, times=1, **headers):
    """A refusal with a body as OpenAI writes it, or without one; then good answers."""
    body = {"error": {"message": said, "type": "x", "code": status}} if said else b""

    async def script(seen, writer):
        if seen.number < times:
            await send(writer, response(body, status, **headers))
        else:
            await answer(seen, writer)

    return script


async def in_single_bytes(_seen, writer):
    await send(writer, STREAM_HEAD)
    data = b"".join(
        b"data: " + e.split(b"data: ")[1] for e in map(event, [*pieces("Wörter."), "[DONE]"])
    )
    data = data.replace(b"\n\n\r\n", b"\n\n")
    for place in range(len(data)):
        await send(writer, chunk(data[place : place + 1]))
    await send(writer, LAST_CHUNK)


def stream(*events, end=LAST_CHUNK):
    return [STREAM_HEAD, *map(event, events), end]


def piece_of(text):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


GOOD = [*pieces(), "[DONE]"]
CRLF = chunk(": a comment\r\nretry: 10\r\n\r\n") + b"".join(
    chunk(e.split(b"\r\n")[1].replace(b"\n", b"\r\n")) for e in map(event, GOOD)
)
TEXT = "A red square."
OTHER_MARK = "http://other.invalid"

# What the server does, and the text that comes of it.
MENDED = {
    "whole, though a stream was asked for": (says(response(whole())), TEXT),
    "pieces of one byte": (in_single_bytes, "Wörter."),
    "comments, CRLF": (says(STREAM_HEAD, CRLF, LAST_CHUNK), TEXT),
    "no DONE": (says(*stream(*pieces())), TEXT),
    "no usage": (says(*stream(*pieces(usage=False), "[DONE]")), TEXT),
    "last event without an empty line": (
        says(STREAM_HEAD, *map(event, pieces()), chunk("data: [DONE]"), LAST_CHUNK), TEXT),
    "hangs after DONE": (hangs(*stream(*GOOD, end=b"")), TEXT),
    "error inside a stream": (says(*stream(pieces()[0], {"error": {"message": "oom"}})), TEXT),
    "event that is no JSON": (says(*stream("{oh")), TEXT),
    "closed at once": (cut(times=2), TEXT),
    "cut in the headers": (cut(b"HTTP/1.1 200 OK\r\nContent-"), TEXT),
    "cut in the body": (cut(response(whole(), Content_Length="999999")), TEXT),
    "cut in a stream": (cut(STREAM_HEAD, event(pieces()[0]), event(pieces()[1])), TEXT),
    "stream that ends too early": (says(*stream(*pieces()[:2])), TEXT),
    "a page once": (says(response("<html>hello", kind="text/html")), TEXT),
    "empty body once": (says(response(b"")), TEXT),
    "null content once": (says(response(whole(None))), TEXT),
    "truncated JSON once": (says(response(b'{"choices": [{"message": {"cont')), TEXT),
    "not HTTP once": (cut(b"SSH-2.0-OpenSSH_9.6\r\n"), TEXT),
    "408": (refuses(408), TEXT),
    "409": (refuses(409, "conflict"), TEXT),
    "429 without a word": (refuses(429, times=3), TEXT),
    "429 after seconds": (refuses(429, Retry_After="0"), TEXT),
    "429 after a fraction": (refuses(429, Retry_After="0.01"), TEXT),
    "429 after milliseconds": (refuses(429, retry_after_ms="5"), TEXT),
    "429 after a date": (refuses(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), TEXT),
    "429 after nonsense": (refuses(429, Retry_After="soon, -1, NaN"), TEXT),
    "500": (refuses(500, "CUDA error"), TEXT),
    "502": (refuses(502), TEXT),
    "503 while loading": (refuses(503, "Loading model", times=4), TEXT),
    "504": (refuses(504), TEXT),
    "text in parts": (says(response(whole([{"type": "text", "text": TEXT}]))), TEXT),
    "bytes that are no UTF-8": (
        says(response(b'{"choices":[{"message":{"content":"caf\xc3\xa9"}}]}')), "café"),
    "stop text left in": (says(response(whole("A red square. STOP more"))), TEXT),
    "stop text across pieces": (
        hangs(STREAM_HEAD, *(event(piece_of(t)) for t in ("A red", " square. ST", "OP"))), TEXT),
}  # fmt: skip

# What the server does, what is said of it, and how often it is asked.
FAILS = {
    "closed every time": (always(close=True), "the line", TRIES),
    "cut every time": (cut(STREAM_HEAD, event(pieces()[0]), times=99), "line", TRIES),
    "page every time": (always(response("<!doctype html><p>x", kind="text/html")), "web page", 4),
    "null every time": (always(response(whole(None))), "no text", TRIES),
    "empty every time": (always(response(b"")), "empty", TRIES),
    "list": (always(response(b"[1]")), "another form", TRIES),
    "deep": (always(response(b"[" * 100_000)), "no whole JSON|another form", TRIES),
    "no choices": (always(response({"choices": []})), "no choices", TRIES),
    "choice of nothing": (always(response({"choices": [{}]})), "no message", TRIES),
    "no content": (always(response(b"", 204)), "status 204", 1),
    "error every time": (refuses(500, "boom", times=99), "status 500. It says: boom", TRIES),
    "compressed": (
        always(response(gzip.compress(bytes(1 << 20)), Content_Encoding="gzip")), "compressed", 4),
    "a body without end": (
        forever(STREAM_HEAD.replace(b"text/event-stream", b"application/json"),
                chunk(b" " * 65536)), "more than 1,048,576 bytes", TRIES),
    "a stream without end": (
        forever(STREAM_HEAD, chunk(": x\n" * 16_384)), "more than 2,097,152 bytes", TRIES),
    "an event without end": (forever(STREAM_HEAD, chunk("data: " + "x" * 65_536)), "no end", 4),
    "400 without a body": (refuses(400), "status 400", 1),
    "400": (refuses(400, "top_k must be positive"), "It says: top_k must be positive", 1),
    "context": (refuses(400, "maximum context length is 4096"), "more context", 1),
    "context, llama.cpp": (
        refuses(400, "the request exceeds the available context size"), "more context", 1),
    "no vision": (refuses(400, "m is not a multimodal model"), "vision model", 1),
    "401": (refuses(401, f"Incorrect API key provided: {KEY}."), "provided: ….*key_variable", 1),
    "403": (refuses(403), "key_variable", 1),
    "404": (refuses(404, "The model `m` does not exist."), "a model that the server has", 1),
    "413": (refuses(413, "Request Entity Too Large"), "smaller pictures", 1),
    "422 as FastAPI": (
        always(response({"detail": [{"msg": "Field required"}]}, 422)), "Field required", 1),
    "redirect": (refuses(302, Location=OTHER_MARK), "another address", 1),
    "307": (refuses(307, Location=OTHER_MARK), "another address", 1),
    "429 for a day": (refuses(429, "quota", Retry_After="86400"), "says: quota", 1),
    "filter": (always(response(whole("x", "content_filter"))), "content filter", 1),
}  # fmt: skip

LATE = {
    "silent": hangs(),
    "silent after headers": hangs(STREAM_HEAD),
    "silent in a stream": hangs(STREAM_HEAD, event(pieces()[0])),
    "silent in a body": hangs(response(whole(), Content_Length="9999")),
    "503 for ever": refuses(503, "Loading model", times=10**9),
    "drip": forever(STREAM_HEAD, b""),
}


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(transport, "MAX_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(transport, "MAX_STREAM_BYTES", 2 << 20)
    monkeypatch.setattr(event_stream, "MAX_EVENT_BYTES", 1 << 18)
    monkeypatch.setattr(transport, "LAST_BYTES_SECONDS", 0.01)


@pytest.fixture(params=list(DIALECTS))
def dialect(request):
    return DIALECTS[request.param]


def request_of(text="What is this?", **options):
    picture = Picture(np.zeros((32, 32, 3), np.uint8))
    chosen = GenerationOptions(**{"stop": ("STOP",)} | options)
    return Request((Message("user", (picture, text)),), chosen, seed=7)


def engine_at(*origins, dialect=DIALECTS["vllm"], timeout_s=PATIENT_S, in_flight=4, **rules):
    given = {"first_pause_s": 0.001, "patience_s": PATIENT_S} | rules
    terms = Terms(dialect, "m", min_pixels=1024)
    return RemoteEngine(terms, Rules("here", KEY, timeout_s, **given), origins, in_flight)


def ask(script, dialect, **rules):
    """The outcome of one request, and what the server saw."""
    with ScriptedServer(script) as server:
        engine = engine_at(server.origin, dialect=dialect, **rules)
        [(index, outcome)] = engine.generate([request_of()])
        assert index == 0
        return outcome, server.seen


@pytest.mark.parametrize("fault", MENDED)
def test_what_another_try_mends(dialect, fault):
    script, text = MENDED[fault]
    outcome, _ = ask(script, dialect)
    assert isinstance(outcome, Reply), outcome
    assert outcome.text == text


@pytest.mark.parametrize("fault", FAILS)
def test_what_does_not_mend_is_said_and_the_key_is_not(dialect, fault, caplog):
    caplog.set_level(logging.INFO)
    script, words, tries = FAILS[fault]
    outcome, seen = ask(script, dialect)
    assert isinstance(outcome, Qwen3VLError), outcome
    with pytest.raises(Qwen3VLError, match=words):
        raise outcome
    assert len(seen) == tries
    assert KEY not in str(outcome) + caplog.text
    assert "127.0.0.1" not in str(outcome) + caplog.text and OTHER_MARK not in str(outcome)


@pytest.mark.parametrize("fault", LATE)
def test_nothing_takes_longer_than_the_deadline(dialect, fault):
    started = time.monotonic()
    outcome, _ = ask(LATE[fault], dialect, timeout_s=SHORT_S)
    assert isinstance(outcome, Qwen3VLError)
    with pytest.raises(Qwen3VLError, match="within 0.4 s|Loading model"):
        raise outcome
    assert time.monotonic() - started < SHORT_S + 10  # a busy machine's slack


def test_answers_come_with_their_numbers_and_requests_are_read_as_they_are_wanted():
    read = []

    def requests():
        for number in range(60):
            read.append(number)
            yield request_of(f"say {number}")

    async def script(seen, writer):
        await answer(seen, writer, seen.json["messages"][0]["content"][-1]["text"])

    with ScriptedServer(script) as server:
        most_ahead, got = 0, {}
        for index, outcome in engine_at(server.origin).generate(requests()):
            got[index] = outcome.text
            most_ahead = max(most_ahead, len(read) - len(got))
    assert got == {n: f"say {n}" for n in range(60)}
    assert most_ahead <= 4 + dispatch.ENCODED_AHEAD + 1
    assert server.most_open <= 4


def test_more_are_kept_in_flight_while_that_helps():
    async def script(seen, writer):
        await asyncio.sleep(0.02)
        await answer(seen, writer)

    with ScriptedServer(script) as server:
        engine = engine_at(server.origin, in_flight=0, dialect=DIALECTS["ollama"])
        assert len(list(engine.generate(request_of() for _ in range(150)))) == 150
    assert server.most_open > 4


def test_large_pictures_are_not_all_read_at_once(monkeypatch):
    picture = Picture(np.zeros((320, 320, 3), np.uint8))
    monkeypatch.setattr(dispatch, "OPEN_BYTES", 3 * picture.pixels.nbytes)
    read = []

    def requests():
        for number in range(30):
            read.append(number)
            yield Request((Message("user", (picture, "?")),))

    with ScriptedServer(answer) as server:
        done = 0
        for _ in engine_at(server.origin, in_flight=64).generate(requests()):
            done += 1
            assert len(read) - done <= 3
    assert done == 30


def test_a_request_that_cannot_be_sent_is_reported_in_its_place():
    thin = Request((Message("user", (Picture(np.zeros((1, 900, 3), np.uint8)), "?")),))
    with ScriptedServer(answer) as server:
        outcomes = dict(engine_at(server.origin).generate([request_of(), thin, request_of()]))
    assert isinstance(outcomes[1], Qwen3VLError) and "longer than 200" in str(outcomes[1])
    assert outcomes[0].text == outcomes[2].text == TEXT


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("fault", ["silent", "silent in a stream", "503 for ever"])
def test_an_interrupt_closes_what_is_open(fault):
    with ScriptedServer(LATE[fault]) as server:

        def on_progress(_progress):
            if len(server.seen) >= 3:
                raise Interrupt

        started = None
        with pytest.raises(Interrupt):
            for _ in engine_at(server.origin).generate((request_of() for _ in range(9)),
                                                       on_progress):  # fmt: skip
                started = time.monotonic()
        assert started is None
        for _ in range(200):
            if not server.open_now:
                break
            time.sleep(0.01)
        assert server.open_now == 0


def test_leaving_early_closes_what_is_open():
    async def script(seen, writer):
        await (answer(seen, writer) if not seen.number else LATE["silent"](seen, writer))

    with ScriptedServer(script) as server:
        outcomes = engine_at(server.origin).generate(request_of() for _ in range(9))
        assert next(outcomes)[0] is not None
        outcomes.close()
        for _ in range(200):
            if not server.open_now:
                break
            time.sleep(0.01)
        assert server.open_now == 0


def test_a_restart_costs_only_what_was_in_flight():
    """The server goes away in the middle of a run, and comes back at the same address."""
    asked = []

    async def script(seen, writer):
        asked.append(seen.json["messages"][0]["content"][-1]["text"])
        await answer(seen, writer, asked[-1])

    first = ScriptedServer(script)
    first.__enter__()
    engine, second, got = engine_at(first.origin), None, {}
    try:
        for index, outcome in engine.generate(request_of(f"say {n}") for n in range(40)):
            got[index] = outcome
            if len(got) == 10:
                first.__exit__()
                second = ScriptedServer(script, port=first.port)
                second.__enter__()
    finally:
        if second:
            second.__exit__()
    assert {n: o.text for n, o in got.items()} == {n: f"say {n}" for n in range(40)}
    assert len(asked) <= 40 + 4


def test_a_server_that_stays_away_fails_each_request_by_name():
    with ScriptedServer(answer) as server:
        origin = server.origin
    engine = engine_at(origin, patience_s=0.05)
    outcomes = dict(engine.generate(request_of() for _ in range(30)))
    assert len(outcomes) == 30
    assert all("'here' cannot be reached" in str(o) or "has not answered" in str(o)
               for o in outcomes.values())  # fmt: skip


def test_several_servers_share_the_work_and_a_dead_one_is_left_out():
    with ScriptedServer(answer) as dead:
        gone = dead.origin
    with ScriptedServer(answer) as one, ScriptedServer(answer) as two:
        engine = engine_at(gone, one.origin, two.origin, in_flight=2)
        outcomes = [o for _, o in engine.generate(request_of() for _ in range(40))]
        assert all(isinstance(o, Reply) for o in outcomes)
        assert len(one.seen) + len(two.seen) == 40
        assert len(one.seen) > 5 and len(two.seen) > 5


def test_a_dead_server_is_tried_again_and_used_when_it_is_back():
    with ScriptedServer(answer) as dead:
        gone = dead.port

    async def slowly(seen, writer):
        await asyncio.sleep(0.01)
        await answer(seen, writer)

    with ScriptedServer(slowly) as one:
        back = ScriptedServer(answer, port=gone)
        engine = engine_at(dead.origin, one.origin, in_flight=1)
        outcomes = engine.generate(request_of() for _ in range(200))
        for done, _ in enumerate(outcomes, 1):
            if done == 5:
                back.__enter__()
            if back.seen and done > 20:
                break
        assert back.seen
        back.__exit__()


def test_busy_at_one_server_goes_to_the_other(monkeypatch):
    async def slowly(self, close=Connection.close):
        await asyncio.sleep(0.02)
        await close(self)

    # While a connection closes, the others know already that this server is to be left alone.
    monkeypatch.setattr(Connection, "close", slowly)
    busy = refuses(429, times=10**9, Retry_After="3600")
    with ScriptedServer(busy) as full, ScriptedServer(answer) as free:
        engine = engine_at(full.origin, free.origin)
        outcomes = [o for _, o in engine.generate(request_of() for _ in range(12))]
        assert all(isinstance(o, Reply) for o in outcomes), outcomes
        assert len(full.seen) <= 4


def test_a_redirect_is_not_followed_and_the_key_stays():
    with ScriptedServer(answer) as other:
        where = f"{other.origin}/v1/chat/completions"
        for status in (301, 302, 303, 307, 308):
            outcome, seen = ask(refuses(status, Location=where), DIALECTS["vllm"])
            assert "another address" in str(outcome)
            assert seen[0].headers["authorization"] == f"Bearer {KEY}"
        assert other.seen == []


def test_proxies_and_passwords_of_the_environment_are_not_used(monkeypatch, tmp_path):
    with ScriptedServer(answer) as other:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.origin)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        outcome, seen = ask(answer, DIALECTS["vllm"])
        assert outcome.text == TEXT and other.seen == []
        assert seen[0].headers["authorization"] == f"Bearer {KEY}"


def test_cookies_are_not_kept():
    async def script(seen, writer):
        await send(writer, response(whole(), Set_Cookie="who=me"))

    with ScriptedServer(script) as server:
        list(engine_at(server.origin, in_flight=1).generate([request_of(), request_of()]))
        assert all("cookie" not in seen.headers for seen in server.seen)


def test_only_a_server_with_a_certificate_that_holds_is_sent_the_key(monkeypatch, tmp_path):
    ours, strangers = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    for signed_by, name in ((ours, "127.0.0.1"), (ours, "other.invalid"), (strangers, "127.0.0.1")):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signed_by.issue_cert(name).configure_cert(tls)
        with ScriptedServer(answer, tls=tls) as server:
            [(_, outcome)] = engine_at(server.origin).generate([request_of()])
        if signed_by is ours and name == "127.0.0.1":
            assert outcome.text == TEXT
            assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
        else:
            assert "certificate" in str(outcome) and not server.seen


def test_a_server_that_speaks_no_tls_is_said_at_once():
    with ScriptedServer(answer) as server:
        engine = engine_at(server.origin.replace("http:", "https:"))
        [(_, outcome)] = engine.generate([request_of()])
    assert "does not speak https" in str(outcome) and not server.seen


def test_an_encrypted_line_that_is_cut_is_asked_again(monkeypatch, tmp_path):
    ours, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    ours.issue_cert("127.0.0.1").configure_cert(tls)
    with ScriptedServer(cut(STREAM_HEAD, event(pieces()[0]), times=2), tls=tls) as server:
        [(_, outcome)] = engine_at(server.origin).generate([request_of()])
    assert outcome.text == TEXT and len(server.seen) == 3


def test_progress_shows_the_text_that_is_being_written():
    with ScriptedServer(hangs(STREAM_HEAD, event(piece_of("A red")))) as server:
        seen = []

        def on_progress(progress):
            seen.append(progress)
            if progress.text:
                raise Interrupt

        with pytest.raises(Interrupt):
            list(engine_at(server.origin).generate([request_of()], on_progress))
    assert (seen[-1].text, seen[-1].index, seen[-1].running) == ("A red", 0, 1)
    kept = seen[-1].unfinished()
    assert (kept[0].text, kept[0].stopped_by) == ("A red", "interrupt")
