"""Events out of bytes, wherever they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qwen3vl_nodes.loaders.servers.wire import bodies
from qwen3vl_nodes.loaders.servers.wire.bodies import EventStream, TooLongEventError

STREAM = (
    ": ping\n\ndata: one\n\nevent: x\nid: 3\ndata: two\ndata: lines\n\n"
    "data:tight\r\n\r\nretry: 5\n\ndata: Wörter 日本\n\ndata: last"
).encode()
EVENTS = ["one", "two\nlines", "tight", "Wörter 日本", "last"]


def read(*chunks):
    stream = EventStream()
    return [e for chunk in chunks for e in stream.feed(chunk)] + stream.end()


def test_events_of_one_chunk():
    assert read(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_cuts_change_nothing(places):
    edges = [0, *sorted(places), len(STREAM)]
    assert read(*(STREAM[a:b] for a, b in zip(edges, edges[1:], strict=False))) == EVENTS


def test_every_cut_in_two():
    for place in range(len(STREAM)):
        assert read(STREAM[:place], STREAM[place:]) == EVENTS


@pytest.mark.parametrize("line", [b"data: ", b"data: x\ndata: ", b": "])
def test_an_event_without_an_end_is_refused(line, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_EVENT_BYTES", 1000)
    stream = EventStream()
    stream.feed(line)
    with pytest.raises(TooLongEventError):
        for _ in range(20):
            stream.feed(b"x" * 100)


def test_many_small_events_are_not_one_long_one(monkeypatch):
    monkeypatch.setattr(bodies, "MAX_EVENT_BYTES", 1000)
    assert len(read(*[b"data: " + b"x" * 400 + b"\n\n"] * 50)) == 50


def test_bytes_that_are_no_text_stay_one_event():
    assert read(b"data: \xff\xfe\n\n") == ["��"]
