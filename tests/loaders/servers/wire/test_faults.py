"""Every dialect against a server that does all that servers, proxies and networks do wrong."""

import asyncio
import contextlib
import datetime
import logging
import socket
import ssl
import time
from dataclasses import replace

import numpy as np
import pytest
import trustme
from asking_servers import KEY, SHORT_S, ask, engine_at, request_of
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.wire import bodies, transport
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Reply, Request
from qwen3vl_nodes.utils.errors import Qwen3VLError
from qwen3vl_nodes.utils.images.picture import Picture
from scripted_server import ScriptedServer, answer
from server_faults import FAILS, LATE, MENDED, STRANGER, TEXT

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
# A busy machine's.
SLACK_S = 10


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(transport, "MAX_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(transport, "MAX_STREAM_BYTES", 2 << 20)
    monkeypatch.setattr(bodies, "MAX_EVENT_BYTES", 1 << 18)
    monkeypatch.setattr(transport, "LAST_BYTES_SECONDS", 0.01)


@pytest.fixture(scope="module", autouse=True)
def stranger():
    """Another server, which has seen nothing when all is over."""
    with STRANGER:
        yield
    assert STRANGER.seen == []


@pytest.fixture(params=list(DIALECTS))
def dialect(request):
    return DIALECTS[request.param]


def assert_said(outcome, words):
    """A typed error that names the server, says why and what helps, and betrays nothing."""
    assert isinstance(outcome, Qwen3VLError), outcome
    with pytest.raises(Qwen3VLError, match=words):
        raise outcome
    assert outcome.problem and outcome.remedy
    shown = f"{outcome} {outcome!r} {outcome.__cause__} {outcome.__context__}"
    assert KEY not in shown and "127.0.0.1" not in shown


def test_the_table_is_long_enough():
    assert len({*MENDED, *FAILS, *LATE}) >= 40


@pytest.mark.parametrize("fault", MENDED)
def test_what_another_try_mends(fault):
    script, text = MENDED[fault]
    outcome, _ = ask(script, DIALECTS["vllm"])
    assert isinstance(outcome, Reply), outcome
    assert outcome.text == text


@pytest.mark.parametrize("fault", FAILS)
def test_what_does_not_mend_is_said_and_the_key_is_not(fault, caplog):
    caplog.set_level(logging.INFO)
    script, words, tries = FAILS[fault]
    outcome, seen = ask(script, DIALECTS["vllm"])
    assert_said(outcome, words)
    assert len(seen) == tries
    assert KEY not in caplog.text and "127.0.0.1" not in caplog.text


def all_at_once(scripts, tries):
    """A script that does to each request what the fault of its name does; counts its tries."""

    async def script(seen, writer):
        name = seen.json["messages"][0]["content"][-1]["text"]
        tries[name] = tries.get(name, 0) + 1
        await scripts[name](replace(seen, number=tries[name] - 1), writer)

    return script


def test_each_request_has_one_outcome_and_its_own(dialect, caplog):
    """All faults beside one another at one server: every request is accounted for once."""
    caplog.set_level(logging.DEBUG)
    scripts = {name: script for name, (script, *_) in (MENDED | FAILS).items()}
    scripts |= {f"good {n}": answer for n in range(40)}
    names, got, tries = list(scripts), [], {}
    with ScriptedServer(all_at_once(scripts, tries)) as server:
        engine = engine_at(server.origin, dialect=dialect, in_flight=16)
        for index, outcome in engine.generate(map(request_of, names)):
            got.append(names[index])
            if got[-1] in FAILS:
                assert_said(outcome, FAILS[got[-1]][1])
                assert tries[got[-1]] == FAILS[got[-1]][2], got[-1]
            else:
                assert outcome.text == MENDED.get(got[-1], (None, TEXT))[1], got[-1]
    assert sorted(got) == sorted(names)
    assert all(tries[f"good {n}"] == 1 for n in range(40))
    assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in server.seen)
    assert KEY not in caplog.text


def test_nothing_takes_longer_than_the_deadline(dialect):
    names, started, got = [*LATE, "good"], time.monotonic(), {}
    script = all_at_once(LATE | {"good": answer}, {})
    with ScriptedServer(script) as server:
        engine = engine_at(server.origin, dialect=dialect, timeout_s=SHORT_S, in_flight=len(names))
        for index, outcome in engine.generate(map(request_of, names)):
            assert names[index] not in got
            got[names[index]] = outcome
    assert time.monotonic() - started < SHORT_S + SLACK_S
    assert got.keys() == set(names)
    for name in LATE:
        assert_said(got[name], "within 0.4 s|Loading model")


@contextlib.contextmanager
def nothing_there(_tls):
    with ScriptedServer(answer) as server:
        pass
    yield server.origin


@contextlib.contextmanager
def accepts_nobody(_tls):
    """Its queue of new lines is full: a further one is not even refused."""
    with socket.socket() as door, contextlib.ExitStack() as waiting:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        for _ in range(2):
            visitor = waiting.enter_context(socket.socket())
            visitor.setblocking(False)
            visitor.connect_ex(door.getsockname())
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


@contextlib.contextmanager
def answers_nobody(_tls, scheme="http"):
    """Takes lines, and reads and writes nothing; of a large request only a part fits."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        door.bind(("127.0.0.1", 0))
        door.listen(16)
        yield f"{scheme}://127.0.0.1:{door.getsockname()[1]}"


def silent_in_tls(tls):
    return answers_nobody(tls, "https")


@contextlib.contextmanager
def speaks_first(_tls, said=b"\x15\x03\x01 SSH-2.0\r\n", scheme="https", cuts=True):
    """Writes to each line before it is asked, and cuts it with a reset."""

    async def talk(_self, reader, writer):
        writer.write(said)
        await reader.read(1)
        if cuts:
            writer.transport.abort()
        else:
            await asyncio.Event().wait()

    server = type("SpeaksFirst", (ScriptedServer,), {"_talk": talk})(answer)
    with server:
        yield f"{scheme}://127.0.0.1:{server.port}"


def resets_while_it_is_asked(tls):
    return speaks_first(tls, b"", "http")


def plain_behind_https(_tls):
    @contextlib.contextmanager
    def line():
        with ScriptedServer(answer) as server:
            yield server.origin.replace("http:", "https:")

    return line()


def certificate_of(name):
    @contextlib.contextmanager
    def line(tls):
        with ScriptedServer(answer, tls=tls[name]) as server:
            yield server.origin
        assert server.seen == []

    return line


# How the line itself fails, and what is said of it.
LINES = {
    "nothing there": (nothing_there, "nothing listens there"),
    "plain http behind https": (plain_behind_https, "does not speak https"),
    "other words behind https": (speaks_first, "the line|does not speak https|cannot be reached"),
    "reset while it is asked": (resets_while_it_is_asked, "the line"),
    "certificate of another name": (certificate_of("other.invalid"), "certificate"),
    "certificate of a stranger": (certificate_of("stranger"), "certificate"),
    "certificate that is over": (certificate_of("over"), "certificate"),
}
LATE_LINES = {
    "accepts nobody": accepts_nobody,
    "answers nobody": answers_nobody,
    "silent in TLS": silent_in_tls,
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """Server sides of TLS with certificates that do not hold; ours is the only one to trust."""
    ours, strangers = trustme.CA(), trustme.CA()
    ca = tmp_path_factory.mktemp("tls") / "ca.pem"
    ours.cert_pem.write_to_path(ca)
    signed = {
        "other.invalid": ours.issue_cert("other.invalid"),
        "stranger": strangers.issue_cert("127.0.0.1"),
        "over": ours.issue_cert("127.0.0.1", not_after=PAST),
    }
    sides = {}
    for name, cert in signed.items():
        sides[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert.configure_cert(sides[name])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(ca))
        yield sides


def outcome_at(origin, dialect, request=None, **rules):
    [(index, outcome)] = engine_at(origin, dialect=dialect, **rules).generate(
        [request or request_of()]
    )
    assert index == 0
    return outcome


@pytest.mark.parametrize("fault", LINES)
def test_a_line_that_fails_is_said(dialect, fault, tls):
    line, words = LINES[fault]
    with line(tls) as origin:
        assert_said(outcome_at(origin, dialect, patience_s=0.01), words)


@pytest.mark.parametrize("fault", LATE_LINES)
def test_a_line_that_stands_still_is_left_at_the_deadline(dialect, fault, tls):
    noise = np.random.default_rng(0).integers(0, 256, (1120, 1120, 3), np.uint8)
    large = Request((Message("user", (Picture(noise), "?")),))
    started = time.monotonic()
    with LATE_LINES[fault](tls) as origin:
        outcome = outcome_at(origin, dialect, large, timeout_s=0.1, pictures="bmp")
    assert_said(outcome, "within 0.1 s")
    assert time.monotonic() - started < 0.1 + SLACK_S
