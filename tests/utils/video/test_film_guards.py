"""Files that are no film, damaged films, and bounds: a clear error or a note, and no more work."""

import os
import random
import threading
from pathlib import Path

import av
import pytest
from films import write_film
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.video import film as film_module
from qwen3vl_nodes.utils.video.containers import container_of
from qwen3vl_nodes.utils.video.film import open_film
from qwen3vl_nodes.utils.video.footage import film_footage
from qwen3vl_nodes.utils.video.frame_budget import FrameBudget
from qwen3vl_nodes.utils.video.moments import FrameChoice, around, scene_moments, thinned


def footage_of(path: Path, choice: FrameChoice | None = None):
    with open_film(path, path.name) as film:
        return film_footage(film, choice or FrameChoice(), FrameBudget())


FOREIGN = {
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "a playlist"),
    "playlist with a mark": (b"\xef\xbb\xbf#EXTM3U\n", "a playlist"),
    "concat": (b"ffconcat version 1.0\nfile /etc/passwd\n", "a list of films"),
    "manifest": (b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', "a streaming manifest"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git-LFS pointer"),
    "page": (b"<!doctype html><html>", "a web page"),
    "picture": (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    "text": (b"hello world, this is no film", "no film of a known kind"),
    "nothing": (b"", "is empty"),
    "zeros": (bytes(4096), "no film of a known kind"),
    "sdp": (b"v=0\no=- 0 0 IN IP4 127.0.0.1\n", "no film of a known kind"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_film_is_never_shown_to_ffmpeg(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content, says = FOREIGN[name]
    path = tmp_path / "film.mp4"
    path.write_bytes(content)

    def no_open(*_: object, **__: object) -> None:
        raise AssertionError("FFmpeg was asked")

    monkeypatch.setattr(av, "open", no_open)
    with pytest.raises(InputError, match=says):
        footage_of(path)


def test_the_demuxer_is_named_and_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_film(tmp_path / "a.mp4", count=4)
    asked = {}
    real = av.open

    def noted(*args: object, **how: object):
        asked.update(how)
        return real(*args, **how)  # pyright: ignore

    monkeypatch.setattr(av, "open", noted)
    footage_of(path)
    assert asked["format"] == "mp4"
    assert asked["metadata_errors"] == "ignore"


def test_a_transport_stream_needs_more_than_one_letter_g():
    with pytest.raises(InputError):
        container_of(b"G" + bytes(1023), "a")
    assert container_of((b"G" + bytes(187)) * 5, "a") == "mpegts"
    assert container_of((b"\0\0\0\0G" + bytes(187)) * 5, "a") == "mpegts"


def test_only_regular_files_are_opened(tmp_path: Path):
    pipe = tmp_path / "a.mp4"
    os.mkfifo(pipe)
    done: list[str] = []

    def look() -> None:
        try:
            footage_of(pipe)
        except InputError as error:
            done.append(str(error))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert done and "no ordinary file" in done[0]
    with pytest.raises(InputError, match="cannot be opened|no ordinary file"):
        footage_of(tmp_path)
    with pytest.raises(InputError, match="cannot be opened"):
        footage_of(tmp_path / "none.mp4")


def test_sound_alone_is_no_film(tmp_path: Path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(InputError, match="no video in it"):
        footage_of(path)


def test_a_film_without_frames_is_refused(tmp_path: Path):
    path = write_film(tmp_path / "a.mkv", count=24)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])  # up to the first cluster
    with pytest.raises(InputError, match="no frame|cannot be read"):
        footage_of(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.avi", "a.webm"])
def test_a_film_that_is_cut_off_is_read_as_far_as_it_goes(name: str, tmp_path: Path):
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    path = write_film(tmp_path / name, count=96, codec=codec)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    footage = footage_of(path, FrameChoice(by="count", count=24))
    assert 4 <= len(footage.clip.times) <= 24
    if name != "a.ts":  # whose length is told by what is there
        assert "cut off" in footage.notes[0]
        assert footage.clip.times[-1] < 9


def test_an_mp4_without_its_index_is_named_as_damaged(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(InputError, match="cut off or damaged"):
        footage_of(path)


def test_a_damaged_middle_is_passed_over_and_said(tmp_path: Path):
    path = write_film(tmp_path / "a.mkv", count=96, gop=8)
    data = bytearray(path.read_bytes())
    dice = random.Random(1)
    for _ in range(60):
        data[dice.randrange(len(data) * 2 // 5, len(data) * 3 // 5)] ^= 0xFF
    path.write_bytes(data)
    footage = footage_of(path, FrameChoice(by="count", count=24))
    assert len(footage.clip.times) > 12
    assert footage.notes or footage.cost.faults == 0


def test_frames_are_bounded_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_film(tmp_path / "a.mp4", count=4)
    monkeypatch.setattr(film_module, "MAX_FILM_PIXELS", 96 * 64 - 1)
    with pytest.raises(InputError, match="96 x 64"):
        footage_of(path)


def test_the_decoder_is_bounded_too(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", count=4)
    with open_film(path, "a") as film:
        assert film.decoder.options["max_pixels"] == str(film_module.MAX_FILM_PIXELS)
        assert film.decoder.thread_count <= 4


def test_frames_of_8k_are_read_small(tmp_path: Path):
    """Frames are sized by the decoder's own scaler: no array of 8K is ever made."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 7680, 4320, "yuvj420p"
        frame = av.VideoFrame(7680, 4320, "yuvj420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        (picture,) = [bytes(p) for p in [*stream.encode(frame), *stream.encode()]]
        for number in range(4):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = stream.codec_context.time_base
            out.mux(packet)
    clip = footage_of(path).clip
    assert len(clip.times) == 4
    assert clip.frames[0].size <= 3 * 768 * 1024


def test_more_pixels_than_any_model_reads_are_refused_before_they_are_there(tmp_path: Path):
    with pytest.raises(InputError, match="more than a model reads"):
        FrameBudget(frame_tokens=16_384, film_tokens=10**9).size_wh(4096, 4096, 768)


@pytest.mark.parametrize(
    "how",
    [
        {"start": -1.0}, {"end": -1.0}, {"start": float("nan")}, {"start": 5.0, "end": 5.0},
        {"start": 5.0, "end": 2.0}, {"rate": 0.0}, {"rate": float("inf")}, {"count": 0},
        {"every": 0}, {"end": float("inf")},
    ],
)  # fmt: skip
def test_impossible_choices_are_refused(how: dict):
    with pytest.raises(InputError):
        FrameChoice(**how)


def test_a_part_after_the_end_is_refused(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"begins at 7 s, but the film ends at 6\.00 s"):
        footage_of(path, FrameChoice(start=7.0))
    assert footage_of(path, FrameChoice(start=5.5, end=90.0)).clip.times[0] == pytest.approx(5.5)
    with pytest.raises(InputError, match="trimmed part"), open_film(path, "a", trim=(9.0, 1.0)):
        pass


def test_a_moment_outside_is_refused():
    assert around(1.0, 6.0, 2.0) == (0.0, 3.0)
    with pytest.raises(InputError, match="not in the film"):
        around(6.5, 6.0, 2.0)


def test_the_strongest_scenes_are_kept():
    cuts = [(1.0, 0.3), (2.0, 0.9), (3.0, 0.5)]
    moments = scene_moments(FrameChoice(by="scenes", max_frames=6), cuts, 6.0, 10.0)
    assert [round(m, 1) for m in moments.seconds[::2]] == [0.1, 2.0, 3.0]


def test_thinning_keeps_first_and_last():
    assert thinned(list(range(10)), 4) == [0, 3, 6, 9]
    assert thinned([1.0, 2.0], 1) == [1.0]


def test_metadata_in_no_known_alphabet_is_no_obstacle(tmp_path: Path):
    path = write_film(tmp_path / "a.mkv", count=4)
    data = path.read_bytes().replace(b"Lavf", b"\xff\xfe\xfd\xfc")
    path.write_bytes(data)
    assert footage_of(path).clip.times


MUTANTS = 60


def test_mutated_films_give_frames_or_a_typed_error(tmp_path: Path):
    dice = random.Random(3)
    seeds = [
        write_film(tmp_path / "a.mp4", count=24).read_bytes(),
        write_film(tmp_path / "a.mkv", count=24).read_bytes(),
        write_film(tmp_path / "a.avi", count=24, codec="mpeg4").read_bytes(),
        write_film(tmp_path / "a.ts", count=24).read_bytes(),
    ]
    outcomes = {"frames": 0, "error": 0}
    for number in range(MUTANTS):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(dice.choice((1, 4, 40))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path = tmp_path / "mutant.bin"
        path.write_bytes(data)
        try:
            clip = footage_of(path).clip
        except InputError:
            outcomes["error"] += 1
            continue
        outcomes["frames"] += 1
        assert all(a <= b for a, b in zip(clip.times, clip.times[1:], strict=False))
    assert sum(outcomes.values()) == MUTANTS
