"""A run of requests: what is in flight, where it goes, and what an interrupt leaves. Faults are in
`test_faults.py`.
"""

import asyncio
import ssl
import time

import numpy as np
import pytest
import trustme
from asking_servers import KEY, PATIENT_S, ask, engine_at, request_of
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.wire import dispatch, transport
from qwen3vl_nodes.loaders.servers.wire.transport import Connection
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.errors import Qwen3VLError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_server import (
    STREAM_HEAD,
    ScriptedServer,
    answer,
    event,
    pieces,
    response,
    send,
    whole,
)
from server_faults import LATE, TEXT
from server_scripts import cut, hangs, piece_of, refuses


@pytest.fixture(autouse=True)
def quick_ends(monkeypatch):
    monkeypatch.setattr(transport, "LAST_BYTES_SECONDS", 0.01)


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


def test_two_answers_to_one_request_do_not_reach_the_next():
    """A server or proxy out of step: every later picture would have its neighbour's caption."""

    async def script(seen, writer):
        text = seen.json["messages"][0]["content"][-1]["text"]
        stray = [response(whole("stray"))] if text == "say 0" else []
        await send(writer, b"".join([response(whole(text)), *stray]))

    with ScriptedServer(script) as server:
        engine = engine_at(server.origin, in_flight=1)
        got = dict(engine.generate(request_of(f"say {n}") for n in range(6)))
    assert {n: o.text for n, o in got.items()} == {n: f"say {n}" for n in range(6)}


def test_a_line_is_used_again():
    with ScriptedServer(answer) as server:
        engine = engine_at(server.origin, in_flight=2)
        assert len(list(engine.generate(request_of() for _ in range(20)))) == 20
    assert server.lines <= 2


def test_a_server_that_wants_to_be_left_alone_for_longer_than_there_is_time_is_not_waited_for():
    """A quota that is used up: the rest of a folder is told so now, not one deadline later."""
    with ScriptedServer(refuses(429, "quota", times=10**9, Retry_After="86400")) as server:
        engine, started = engine_at(server.origin), time.monotonic()
        outcomes = [o for _, o in engine.generate(request_of() for _ in range(30))]
        assert len(outcomes) == 30 and all("It says: quota" in str(o) for o in outcomes)
        assert time.monotonic() - started < PATIENT_S / 2
        assert len(server.seen) <= 4


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
