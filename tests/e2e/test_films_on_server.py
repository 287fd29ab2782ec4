"""Films on a real ComfyUI: loaded, trimmed and taken apart by its own nodes, told by the demo."""

import json
import shutil

import av
import hosting
import numpy as np
import pytest
from core_nodes import needs_core
from films import write_film
from qwen3vl_pack import ROOT

COMFYUI = hosting.find_comfyui()
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
FILM = "square_and_cross.mp4"
TRUTH = {"white square": (0.0, 4.0), "purple triangle": (0.0, 8.0), "red cross": (3.0, 5.0)}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture(scope="module")
def server(demo_server):
    films = demo_server.folder / "input"
    shutil.copy(ROOT / "examples" / "videos" / FILM, films)
    with av.open(str(films / FILM)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    kept = [k for k in range(len(frames)) if k % 3 != 1]
    write_film(
        films / "varying.mp4", fps=8, frames=[frames[k] for k in kept],
        times=[k / 8 for k in kept],
    )  # fmt: skip
    turned = [np.rot90(frame, -1).copy() for frame in frames]
    write_film(films / "turned.mp4", fps=8, frames=turned, rotate=90)
    write_film(films / "ten_bits.mkv", fps=8, frames=frames, pix_fmt="yuv420p10le")
    (films / "playlist.mp4").write_bytes(b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    return demo_server


def events(video, **inputs):
    """A prompt whose node 4 finds events, and whose node 5 shows them as JSON."""
    example = json.loads((ROOT / "examples" / "api" / "video_events.json").read_text("utf-8"))
    prompt = {name: example[name] for name in "134"}
    prompt["4"]["inputs"] |= {"video": video} | inputs
    return prompt | {"5": node("PreviewAny", source=["4", 1])}


def ran(server, prompt):
    entry = server.run(prompt)
    assert hosting.error_of(entry) == ""
    return entry["outputs"]


def ends_right(outputs, begin=0.0, length=8.0):
    """How many starts and ends are at most half a second off, of those in the part."""
    found = json.loads(outputs["5"]["text"][0])
    right = 0
    for name, (start, end) in TRUTH.items():
        times = [(e["start"], e["end"]) for e in found if name in e["text"].lower()]
        wanted = (max(0.0, start - begin), min(length, end - begin))
        if times:
            right += sum(abs(a - b) <= 0.5 for a, b in zip(times[0], wanted, strict=True))
    return right


@pytest.mark.parametrize("file", ["varying.mp4", "turned.mp4", "ten_bits.mkv"])
def test_the_events_of_a_film_of_every_kind(server, file):
    outputs = ran(server, {"2": node("LoadVideo", file=file)} | events(["2", 0]))
    assert ends_right(outputs) >= 5
    assert file in outputs["4"]["report"][0]


def test_the_events_of_a_film_that_core_has_trimmed(server):
    trim = node("Video Slice", video=["2", 0], start_time=2.0, duration=4.0, strict_duration=False)
    prompt = {"2": node("LoadVideo", file=FILM), "6": trim} | events(["6", 0])
    outputs = ran(server, prompt)
    assert ends_right(outputs, begin=2.0, length=4.0) >= 5
    assert "from 0.00 to 3.88 s of 4.00 s" in outputs["4"]["report"][0]


def test_a_film_that_core_has_taken_apart(server):
    prompt = {
        "2": node("LoadVideo", file=FILM),
        "6": node("GetVideoComponents", video=["2", 0]),
        "7": node("CreateVideo", images=["6", 0], fps=8.0),
    }
    assert ends_right(ran(server, prompt | events(["7", 0]))) >= 5
    by_images = events(["7", 0], images=["6", 0], images_fps=8.0)
    del by_images["4"]["inputs"]["video"]
    assert ends_right(ran(server, prompt | by_images)) >= 5


@needs_core("DrawBBoxes")
def test_boxes_over_time_into_core_draw_bboxes(server):
    prompt = {"2": node("LoadVideo", file=FILM)} | events(
        ["2", 0], find="where a thing is", thing="white square"
    )
    prompt |= {
        "6": node("DrawBBoxes", image=["4", 5], bboxes=["4", 6]),
        "7": node("PreviewImage", images=["6", 0]),
    }
    outputs = ran(server, prompt)
    places = json.loads(outputs["5"]["text"][0])
    assert [place["label"] for place in places] == ["white square"] * len(places)
    assert places[0]["x"] > places[-1]["x"]  # it moves to the left
    assert len(outputs["7"]["images"]) == 16


def test_a_list_of_films_through_one_node(server):
    example = json.loads((ROOT / "examples" / "api" / "video_describe.json").read_text("utf-8"))
    prompt = {name: example[name] for name in "134"}
    prompt |= {
        "2": node("LoadVideo", file=FILM),
        "6": node("LoadVideo", file="turned.mp4"),
        "7": node("CreateList", **{"inputs.input0": ["2", 0], "inputs.input1": ["6", 0]}),
    }
    prompt["4"]["inputs"]["video"] = ["7", 0]
    texts = ran(server, prompt)["4"]["text"]
    assert len(texts) == 2
    assert all("white square moves to the left" in text for text in texts)


def test_a_playlist_named_mp4_is_refused_by_name(server):
    entry = server.run({"2": node("LoadVideo", file="playlist.mp4")} | events(["2", 0]))
    assert "playlist.mp4 is a playlist (m3u8)" in hosting.error_of(entry)
