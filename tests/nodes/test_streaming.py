"""Text while it is written: what is sent, how often, and what an interrupt leaves."""

import pytest
from qwen3vl_nodes.loaders.host import comfyui, comfyui_progress
from qwen3vl_nodes.nodes.shared import running, streaming
from qwen3vl_nodes.nodes.shared.streaming import TextStream, progress_line
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Progress, Reply, Request


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


class Server:
    """What `tell` needs of ComfyUI's server."""

    client_id = "me"

    def __init__(self):
        self.sent = []

    def send_sync(self, kind, data, client):
        assert (kind, client) == ("qwen3vl.text", "me")
        self.sent.append(data)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(streaming, "time", made)
    return made


@pytest.fixture
def server(monkeypatch):
    made = Server()
    monkeypatch.setattr(comfyui_progress, "_server", lambda: made)
    return made


def step(text="", index=None, finished=0, running=1, tokens=5, seconds=1.0):
    return Progress(finished, running, tokens, seconds, text, index)


def reply(text, stopped_by="end"):
    return Reply(text, "", stopped_by, 3, 9, 1.0, 0.5)


def texts(sent):
    """What the other side has of each text, as the README says to put it together."""
    held = {}
    for data in sent:
        if "index" in data:
            held[data["index"]] = held.get(data["index"], "")[: data["at"]] + data["text"]
    return held


def test_only_what_is_new_of_a_text_is_sent_and_ten_times_a_second_at_most(clock, server):
    stream = TextStream(1, "7")
    for text in ("A", "A r", "A red", "A red st"):
        stream.take(step(text, 0))
        clock.now += 0.06
    assert [data["text"] for data in server.sent] == ["A", " red"]
    assert [data["at"] for data in server.sent] == [0, 1]
    assert server.sent[0] == {
        "node": "7", "prompt_id": None, "line": "5 tokens/s", "finished": 0, "tokens": 5,
        "seconds": 1.0, "index": 0, "total": 1, "at": 0, "text": "A",
    }  # fmt: skip


def test_an_end_that_changes_is_sent_again_from_where_it_differs(clock, server):
    stream = TextStream(1, "7")
    for text in ("a \ufffd", "a 猫", "b"):
        stream.take(step(text, 0))
        clock.now += 0.2
    assert [(data["at"], data["text"]) for data in server.sent] == [
        (0, "a \ufffd"), (2, "猫"), (0, "b"),
    ]  # fmt: skip


def test_a_finished_text_of_a_batch_is_made_complete_and_the_next_one_follows(clock, server):
    stream = TextStream(3, "7", title=lambda index: f"picture {index}")
    stream.take(step("one", 0, running=2))
    clock.now += 0.2
    stream.finish(0, reply("one is done"))
    stream.take(step("two", 1, finished=1))
    assert texts(server.sent) == {0: "one is done", 1: "two"}
    assert [data.get("title") for data in server.sent] == ["picture 0", "picture 0", "picture 1"]
    assert server.sent[-1]["finished"] == 1


def test_of_a_fast_batch_only_the_newest_are_sent(clock, server):
    stream = TextStream(100, "7")
    stream.take(step())
    clock.now += 0.2
    for index in range(50):
        stream.finish(index, reply(str(index)))
    stream.take(step(finished=50, running=0))
    assert sorted(texts(server.sent)) == [46, 47, 48, 49]
    assert len(stream._sent) == 0  # nothing is kept of a long run


def test_nobody_is_sent_anything_where_nobody_listens(clock, server):
    server.client_id = None
    TextStream(1, "7").take(step("a", 0))
    server.client_id = "me"
    TextStream(1, None).take(step("a", 0))
    assert server.sent == []


def test_half_surrogates_can_be_sent(clock, server):
    TextStream(1, "7", title=lambda _: "a\udcff.png").take(step("x", 0))
    assert server.sent[0]["title"] == "a?.png"


def test_lines():
    assert progress_line(step(finished=2, tokens=50, seconds=2.0), 4) == (
        "2 of 4, 1 a second, 25 tokens/s, about 2 s left"
    )
    assert progress_line(Progress(0, 1, 0, 0.0), 1) == ""


class Interrupted:
    """A model that is interrupted at its second step, with two replies begun."""

    def open(self):
        from contextlib import nullcontext

        return nullcontext(self)

    def generate(self, requests, on_progress):
        yield 1, reply("whole")
        partly = {0: reply("begun", "interrupt")}
        on_progress(Progress(1, 1, 4, 1.0, "begun", 0, lambda: partly))


@pytest.fixture
def interrupt(monkeypatch):
    def check():
        raise comfyui.interrupts()()

    monkeypatch.setattr(comfyui, "check_interrupt", check)


ASKED = [Request((Message("user", ("x",)),))] * 3


def test_an_interrupt_passes(interrupt):
    with pytest.raises(comfyui.interrupts()):
        running.answer_all(Interrupted(), ASKED, None)


def test_an_interrupt_returns_what_is_there_if_wanted(interrupt):
    replies = running.answer_all(Interrupted(), ASKED, None, keep=True)
    assert [one.text for one in replies] == ["begun", "whole", ""]
    assert [one.stopped_by for one in replies] == ["interrupt", "end", "interrupt"]
    assert running.report(replies).splitlines()[0].endswith("; interrupted")
    assert all(one.truncated for one in (replies[0], replies[2]))
