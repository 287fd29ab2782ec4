"""Events as SRT and WebVTT: read back by FFmpeg's own readers, and safe with any text."""

import io

import av
import pytest
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.video.subtitles import to_srt, to_vtt
from qwen3vl_nodes.utils.video.timeline import Event

EVENTS = [
    Event(3.5, 6.0, "A blue circle."),
    Event(0.0, 3.5, "A red star is visible.\n\nIt stays."),
    Event(7.0, 7.0, "A bell --> rings\x00 <i>&</i>."),
]


def test_srt():
    assert to_srt(EVENTS) == (
        "1\n00:00:00,000 --> 00:00:03,500\nA red star is visible.\nIt stays.\n\n"
        "2\n00:00:03,500 --> 00:00:06,000\nA blue circle.\n\n"
        "3\n00:00:07,000 --> 00:00:08,000\nA bell → rings <i>&</i>.\n"
    )


def test_vtt():
    assert to_vtt(EVENTS) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:03.500\nA red star is visible.\nIt stays.\n\n"
        "00:00:03.500 --> 00:00:06.000\nA blue circle.\n\n"
        "00:00:07.000 --> 00:00:08.000\nA bell → rings &lt;i&gt;&amp;&lt;/i&gt;.\n"
    )


@pytest.mark.parametrize(("write", "kind"), [(to_srt, "srt"), (to_vtt, "webvtt")])
def test_ffmpeg_reads_every_cue(write, kind: str):
    events = [*EVENTS, Event(9.0, 10.0, "1\n\n00:00:50,000 --> 00:00:51,000\nno cue\u2028\n"),
              Event(11.0, 12.0, "\n \x85")]  # fmt: skip
    with av.open(io.BytesIO(write(events).encode()), format=kind) as container:
        stream = container.streams.subtitles[0]
        packets = [p for p in container.demux(stream) if p.size]
        times = [(float(p.pts * p.time_base), float(p.duration * p.time_base)) for p in packets]
    assert times == [(0.0, 3.5), (3.5, 2.5), (7.0, 1.0), (9.0, 1.0), (11.0, 1.0)]


def test_no_events():
    assert to_srt([]) == ""
    assert to_vtt([]) == "WEBVTT\n"


@pytest.mark.parametrize(("start", "end"), [(2, 1), (-1, 1), (0, float("inf")), (float("nan"), 1)])
def test_an_event_checks_itself(start: float, end: float):
    with pytest.raises(InputError):
        Event(start, end, "A")


def test_an_event_knows_its_middle_and_says_when():
    assert Event(1.0, 3.5, "A").middle == 2.25
    assert Event(1.0, 3.5, "A").when == "00:01.00 - 00:03.50"
