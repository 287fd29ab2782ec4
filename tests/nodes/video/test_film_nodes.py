"""Video and Video Events: films of every origin, lists, sockets, bad input, and true answers."""

import io
import json
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from films import number_of, write_film
from node_running import LOADER, run_node
from qwen3vl_nodes.nodes.asking.chat import CONTINUE, Qwen3VLChat
from qwen3vl_nodes.nodes.forms.film_widgets import FilmSettings
from qwen3vl_nodes.nodes.shared import film_source
from qwen3vl_nodes.nodes.shared.film_source import trim_of
from qwen3vl_nodes.nodes.shared.grounding import LEAVE_EMPTY, STOP
from qwen3vl_nodes.nodes.video.event_list import EVENTS, THING, Qwen3VLEvents
from qwen3vl_nodes.nodes.video.video import CUSTOM, Qwen3VLVideo, film_presets
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.conversation.transcript import Chat
from qwen3vl_nodes.utils.errors import GenerationError, InputError, ParseError
from qwen3vl_nodes.utils.images.picture import Clip
from qwen3vl_pack import ROOT
from scripted_model import ScriptedModel

FILM = {
    "images_fps": 8.0, "sampling": "frames per second", "fps": 2.0, "frame_count": 64,
    "every_nth": 10, "start": 0.0, "end": 0.0, "max_frames": 768, "frame_tokens": 0,
    "film_tokens": 0, "times": "of this film",
}  # fmt: skip
VIDEO = FILM | {
    "preset": "Describe", "instructions": "", "moment": 0.0, "system_prompt": "", "seed": 0,
}  # fmt: skip
FIND = FILM | {
    "find": EVENTS, "thing": "", "instructions": "", "sheet_columns": 3, "seed": 0,
    "unreadable": STOP,
}  # fmt: skip
ANSWER = '{"00:00.00 - 00:03.50": "A red star.", "00:01.50 - 00:06.00": "A heart."}'
TRACK = (
    '[{"time": 0.2, "bbox_2d": [0, 0, 500, 500], "label": "star"},'
    ' {"time": 1.4, "bbox_2d": [0, 0, 500, 500], "label": "star"}]'
)


class Video:
    """A VIDEO as ComfyUI hands it over."""

    def __init__(self, source, trim=(0.0, 0.0)):
        self.source, self.trim = source, trim

    def get_stream_source(self):
        return self.source

    def get_active_trim_window(self):
        return self.trim


@pytest.fixture(autouse=True)
def temp_folder(comfy, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()


@pytest.fixture
def film(tmp_path):
    return str(write_film(tmp_path / "film.mp4"))


def describe(model, video=(), **inputs):
    lists = {k: v if isinstance(v, list) else [v] for k, v in (VIDEO | inputs).items()}
    return run_node(Qwen3VLVideo, model=[model], video=list(video), **lists)


def events(model, video=None, **inputs):
    return run_node(Qwen3VLEvents, model=model, video=video, **(FIND | inputs))


def clip_of(model, number=0) -> Clip:
    clip = model.requests[number].messages[-1].parts[0]
    assert isinstance(clip, Clip)
    return clip


def test_a_video_is_described(film):
    model = ScriptedModel("A film.")
    texts, thinking, report, _ = describe(model, [Video(film)]).args
    assert (texts, thinking) == (["A film."], [""])
    assert model.prompt_of(0) == "Describe this video."
    assert len(clip_of(model).times) == 12
    assert report.startswith("1: film.mp4, 12 frames from 0.00 to 5.88 s of 6.00 s, 96 x 64 pixels")


def test_a_chat_goes_on_about_the_film(film, tmp_path):
    """The frames stay in the conversation; those of many films are not held together."""
    model = ScriptedModel(lambda *_: f"answer {len(model.requests)}")
    (chat,) = describe(model, [Video(film)], system_prompt="Short.").args[3]
    said = {"question": "And then?", "system_prompt": "", "seed": 0, "turn": CONTINUE}
    run_node(Qwen3VLChat, model=model, chat=chat, remember=False, **said)
    system, first, answer, second = model.requests[1].messages
    assert system.parts == ("Short.",)
    assert first.parts[0] is clip_of(model) and answer.parts == ("answer 1",)
    assert second.parts == ("And then?",)
    other = write_film(tmp_path / "other.mp4")
    (none,) = describe(model, [Video(film), Video(str(other))]).args[3]
    assert not isinstance(none, Chat)


def test_every_preset_has_words(film):
    for preset in film_presets()[:-1]:
        model = ScriptedModel("x")
        describe(model, [Video(film)], preset=preset, instructions="In Chinese.", moment=2.5)
        assert model.prompt_of(0).endswith(" In Chinese.")
    model = ScriptedModel("x")
    describe(model, [Video(film)], preset=CUSTOM, instructions="How many?", system_prompt="Short.")
    assert model.prompt_of(0) == "How many?"
    assert model.requests[0].messages[0].parts == ("Short.",)


def test_a_question_about_a_moment_shows_the_minute_around_it(tmp_path):
    path = write_film(tmp_path / "a.mp4", count=480, fps=4, size_wh=(32, 32))  # 120 s
    model = ScriptedModel("x")
    describe(model, [Video(str(path))], preset="What happens at a moment", moment=45.0)
    assert model.prompt_of(0) == "What happens at second 45?"
    times = clip_of(model).times
    assert (times[0], times[-1]) == pytest.approx((15.0, 74.75))
    with pytest.raises(InputError, match="not in the film"):
        describe(model, [Video(str(path))], preset="What happens at a moment", moment=121.0)
    with pytest.raises(InputError, match="outside the part"):
        describe(model, [Video(str(path))], preset="What happens at a moment", moment=5.0,
                 start=9.0)  # fmt: skip


def test_a_list_of_films_is_answered_in_one_run_and_read_one_by_one(tmp_path):
    paths = [str(write_film(tmp_path / f"{n}.mp4", count=8 + n)) for n in range(3)]
    read: list[int] = []

    class Noting(Video):
        def get_stream_source(self):
            read.append(len(model.requests))
            return super().get_stream_source()

    model = ScriptedModel(lambda n, _: f"film {n}")
    texts, _, report, _ = describe(
        model, [Noting(path) for path in paths], instructions=["a", "b", "c"]
    ).args
    assert texts == ["film 0", "film 1", "film 2"]
    assert [model.prompt_of(n)[-1] for n in range(3)] == ["a", "b", "c"]
    assert [r.seed for r in model.requests] == [0, 1, 2]
    assert [line[:8] for line in report.splitlines()[:3]] == ["1: 0.mp4", "2: 1.mp4", "3: 2.mp4"]
    # The names are asked for first; a film's frames only when the one before has been handed on.
    assert read == [0, 0, 0, 0, 1, 2]
    with pytest.raises(InputError, match="2 instructions for 3 films"):
        describe(model, [Video(path) for path in paths], instructions=["a", "b"])


def test_a_bad_film_of_a_list_is_named(film, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"#EXTM3U\n")
    films = [Video(film), Video(str(tmp_path / "bad.mp4"))]
    with pytest.raises(InputError, match=r"Film 2 of 2: bad\.mp4 is a playlist"):
        describe(ScriptedModel("x"), films)
    with pytest.raises(InputError, match=r"^bad\.mp4 is a playlist"):
        describe(ScriptedModel("x"), films[1:])

    class Failing(ScriptedModel):
        def generate(self, requests, on_progress=None):
            for number, _ in enumerate(requests):
                yield number, GenerationError("Too long.", "Less.")

    with pytest.raises(GenerationError, match=r"Film 1 of 2, film\.mp4: Too long"):
        describe(Failing("x"), [Video(film), Video(film)])


def test_a_trimmed_video_is_a_film_of_its_own(film):
    model = ScriptedModel("x")
    describe(model, [Video(film, (2.0, 3.0))])
    clip = clip_of(model)
    assert (clip.times[0], clip.times[-1]) == pytest.approx((0.0, 2.875))
    assert number_of(clip.frames[0]) == pytest.approx(16, abs=1)
    describe(model, [Video(film, (2.0, 3.0))], times="of the file it was cut from")
    assert clip_of(model, 1).times[0] == pytest.approx(2.0)


def test_an_older_comfyui_trims_too():
    """Before `get_active_trim_window` only the object's own fields know."""
    old = SimpleNamespace(_VideoFromFile__start_time=1.5, _VideoFromFile__duration=2)
    assert trim_of(old) == (1.5, 2.0)
    assert trim_of(SimpleNamespace()) == (0.0, 0.0)
    assert trim_of(SimpleNamespace(get_active_trim_window=lambda: (1, 0))) == (1.0, 0.0)


def test_a_video_of_bytes_and_one_of_images(film, images):
    from pathlib import Path

    model = ScriptedModel("x")
    describe(model, [Video(io.BytesIO(Path(film).read_bytes()))])
    assert len(clip_of(model).times) == 12

    class VideoInput:  # as ComfyUI's base class: its stream would be encoded anew
        def get_stream_source(self):
            raise AssertionError("encoded")

        def get_components(self):
            return SimpleNamespace(images=images(16), frame_rate=Fraction(8))

    class FromComponents(VideoInput):
        pass

    describe(model, [FromComponents()])
    assert clip_of(model, 1).times == pytest.approx((0.0, 0.625, 1.25, 1.875))


def test_images_with_a_rate_are_a_film(images):
    model = ScriptedModel("x")
    batch = images(48)
    describe(model, images=[batch])
    clip = clip_of(model)
    assert clip.times == pytest.approx([k / 8 for k in clip.indices])
    assert (clip.indices[0], clip.indices[-1]) == (0, 47)
    expected = (batch[47].numpy() * 255).round().astype(np.uint8)
    assert np.abs(clip.frames[-1].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("value", ["film.mp4", torch.zeros(1, 8, 8, 3), 3])
def test_what_is_no_video_is_refused(value):
    with pytest.raises(InputError, match="is no VIDEO"):
        describe(ScriptedModel("x"), [value])


def test_nothing_or_an_empty_batch_is_refused():
    with pytest.raises(InputError, match="No film is connected"):
        describe(ScriptedModel("x"))
    with pytest.raises(InputError, match="holds no picture"):
        describe(ScriptedModel("x"), images=[torch.zeros(0, 8, 8, 3)])
    with pytest.raises(InputError, match="custom prompt is empty"):
        describe(ScriptedModel("x"), images=[torch.zeros(2, 8, 8, 3)], preset=CUSTOM)


@pytest.mark.parametrize("part", [{"start": 5.0, "end": 2.0}, {"start": 6.5}, {"sampling": "?"}])
def test_an_impossible_part_is_refused(film, part):
    with pytest.raises(InputError):
        describe(ScriptedModel("x"), [Video(film)], **part)


def test_samplings_and_budgets_reach_the_clip(film):
    model = ScriptedModel("x")
    describe(model, [Video(film)], sampling="number of frames", frame_count=5)
    describe(model, [Video(film)], sampling="every n-th frame", every_nth=12)
    describe(model, [Video(film)], start=1.0, end=3.0, frame_tokens=2)
    assert len(clip_of(model, 0).times) == 5
    assert clip_of(model, 1).times == pytest.approx((0.0, 1.5, 3.0, 4.5))
    clip = clip_of(model, 2)
    assert (clip.times[0], clip.times[-1]) == pytest.approx((1.0, 2.875))
    assert clip.keep_size and clip.frames.shape[1:3] == (32, 32)


def test_events_leave_as_json_subtitles_and_a_sheet(film):
    out = events(ScriptedModel(ANSWER), Video(film)).args
    answer, as_json, srt, vtt, sheet, frames, boxes, report = out
    assert answer == ANSWER
    assert json.loads(as_json)[0] == {"start": 0.0, "end": 3.5, "text": "A red star."}
    assert srt.startswith("1\n00:00:00,000 --> 00:00:03,500\nA red star.\n\n2\n")
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:03.500\n")
    assert sheet.shape[0] == 1 and sheet.shape[3] == 3
    assert frames.shape == (12, 64, 96, 3)
    assert boxes == [[]] * 12
    assert report.startswith("film.mp4: 12 frames from 0.00 to 5.88 s of 6.00 s, 2 events\n")


def test_the_box_has_readable_lines_and_history_has_everything(film):
    out = events(ScriptedModel(ANSWER), Video(film))
    assert out.ui["text"] == [
        "00:00.00 - 00:03.50  A red star.\n00:01.50 - 00:06.00  A heart."
    ]  # fmt: skip
    assert out.ui["answer"] == [ANSWER]
    assert [out.ui[name][0] for name in ("json", "srt", "vtt")] == list(out.args[1:4])
    # Beside a VIDEO socket, Nodes 2.0 shows a node's pictures as a film that fails to load.
    assert "images" not in out.ui


def test_the_sheet_shows_the_middle_of_each_event_in_the_order_of_the_answer(film):
    backwards = '{"00:04.00 - 00:06.00": "late", "00:00.00 - 00:02.00": "early"}'
    sheet = events(ScriptedModel(backwards), Video(film)).args[4]
    pixels = (sheet[0].numpy() * 255).round().astype(np.uint8)
    tiles = [pixels[12:252, 12 + 332 * k : 332 + 332 * k] for k in range(2)]
    numbers = [number_of(tile[88:152, 112:208]) for tile in tiles]
    assert numbers == pytest.approx([40, 8], abs=1)


def test_a_thing_over_time_gives_boxes_on_the_frames(film):
    model = ScriptedModel(TRACK)
    out = events(model, Video(film), find=THING, thing="star").args
    assert '"star"' in model.prompt_of(0)
    _, as_json, srt, _, _, frames, boxes, report = out
    box = {"x": 0, "y": 0, "width": 48, "height": 32, "label": "star"}
    assert boxes == [[box]] * 4 + [[]] * 8
    assert json.loads(as_json)[1] == {"time": 1.4} | box
    assert "00:00:00,000 --> 00:00:02,125\nstar" in srt
    assert "2 boxes" in report
    plain = events(ScriptedModel("[]"), Video(film), find=THING, thing="star").args[5]
    changed = (frames != plain).flatten(1).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 8
    with pytest.raises(InputError, match="nothing to look for"):
        events(model, Video(film), find=THING)


def test_no_events_is_no_error(film):
    _, as_json, srt, vtt, sheet, _, _, report = events(ScriptedModel("[]"), Video(film)).args
    assert (as_json, srt, vtt) == ("[]", "", "WEBVTT\n")
    assert sheet.shape[0] == 1
    assert "0 events" in report


def test_an_unreadable_answer_is_an_error_or_empty(film):
    broken = '[{"start": "soon", "end": "later", "text": "A"}]'
    with pytest.raises(ParseError, match="cannot be read"):
        events(ScriptedModel(broken), Video(film))
    out = events(ScriptedModel(broken), Video(film), unreadable=LEAVE_EMPTY).args
    assert out[1] == "[]"
    assert "unreadable" in out[7]


def test_cut_off_and_repaired_are_said(film):
    report = events(ScriptedModel(ANSWER[:60], "length"), Video(film)).args[7]
    assert "cut off" in report
    lines = "00:00.00 - 00:01.00: A"
    assert "was repaired" in events(ScriptedModel(lines), Video(film)).args[7]
    assert "cut to the film" in events(
        ScriptedModel(ANSWER.replace("00:06.00", "00:09.00")), Video(film)
    ).args[7]  # fmt: skip


def test_times_of_the_source_are_shown_at_the_right_frames(film):
    answer = '{"00:03.00 - 00:05.00": "A"}'
    out = events(
        ScriptedModel(answer), Video(film, (2.0, 4.0)), times="of the file it was cut from"
    ).args
    assert json.loads(out[1]) == [{"start": 3.0, "end": 5.0, "text": "A"}]
    tile = (out[4][0].numpy() * 255).round().astype(np.uint8)[12:252, 12:332]
    assert number_of(tile[88:152, 112:208]) == pytest.approx(32, abs=1)


def test_one_film_at_a_time_for_events(film, images):
    with pytest.raises(InputError, match="Both a video and images"):
        events(ScriptedModel(ANSWER), Video(film), images=images(4))


def test_the_demo_checkpoint_tells_the_example_film(comfy):
    from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader

    model = run_node(Qwen3VLLoader, model="Qwen3-VL-Demo", **LOADER)[0]
    greedy = GenerationOptions(max_new_tokens=120, temperature=0.0, presence_penalty=0.0)
    video = Video(str(ROOT / "examples" / "videos" / "coming_and_going.mp4"))
    text = describe(model, [video], options=[greedy]).args[0][0]
    assert "A purple heart is visible from 0.0 to 5.0 seconds" in text
    assert "a black diamond is visible from 1.0 to 6.0 seconds" in text
    asked = describe(
        model, [video], preset="What happens at a moment", moment=3.0, options=[greedy]
    )
    assert "cyan circle moves to the right" in asked.args[0][0]


@pytest.mark.parametrize("sampling", ["frames per second", "scene changes"])
def test_a_film_that_takes_long_to_read_tells_how_far_it_is(tmp_path, monkeypatch, sampling):
    shown, clock = [], iter(float(second) for second in range(10_000))
    bars = SimpleNamespace(
        progress_bar=lambda total: SimpleNamespace(
            show=lambda done, line: shown.append((total, done, line))
        ),
        check_interrupt=lambda: None,
    )
    monkeypatch.setattr(film_source, "host", lambda: bars)
    monkeypatch.setattr(film_source.time, "monotonic", lambda: next(clock))
    write_film(tmp_path / "long.mp4")
    source = film_source.FilmSource("long.mp4", video=Video(tmp_path / "long.mp4"))
    widgets = {name: value for name, value in FILM.items() if name != "images_fps"}
    footage = source.footage(FilmSettings.of(**(widgets | {"sampling": sampling})))
    frames = len(footage.clip.frames)
    last = shown[-1]
    assert last == (last[0], frames, f"Reading long.mp4: {frames} of {last[0]} frames")
    assert (len({total for total, _, _ in shown}) > 1) == (sampling == "scene changes")
    monkeypatch.setattr(film_source.time, "monotonic", lambda: 0.0)
    shown.clear()
    source.footage(FilmSettings.of(**widgets))
    assert not shown  # what is quick says nothing
