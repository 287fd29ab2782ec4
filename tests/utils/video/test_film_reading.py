"""Films of every kind are read at the right seconds, upright and in right colours."""

import io
from pathlib import Path

import numpy as np
import pytest
from films import number_of, numbered, write_film
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.video.film import open_film
from qwen3vl_nodes.utils.video.footage import film_footage
from qwen3vl_nodes.utils.video.frame_budget import FrameBudget
from qwen3vl_nodes.utils.video.frames import FrameReader
from qwen3vl_nodes.utils.video.moments import FrameChoice, even_moments

RED, BLUE = (220, 30, 30), (30, 30, 220)
KINDS = {
    "h264.mp4": {},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp8.webm": {"codec": "libvpx"},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.flv": {"codec": "libx264"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mpg": {"codec": "mpeg2video", "fps": 25},
    "animated.gif": {"codec": "gif", "pix_fmt": "rgb8", "fps": 10},
    "ten_bits.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ten_bits.mp4": {"pix_fmt": "yuv420p10le"},
    "lossless.mkv": {"codec": "ffv1", "pix_fmt": "yuv444p"},
    "named_colours.mp4": {"colorspace": 1},
    "open_ended.webm": {"codec": "libvpx-vp9", "options": {}, "live": True},
}


def keep(width: int, height: int) -> tuple[int, int]:
    return width, height


def made(folder: Path, name: str, **how) -> Path:
    live = how.pop("live", False)
    path = write_film(folder / name, **how)
    if live:  # as a recorder leaves it: no length in the header
        data = path.read_bytes()
        at = data.index(b"\x44\x89\x88")  # Duration, 8 bytes
        path.write_bytes(data[:at] + b"\xec\x89" + b"\x00" * 9 + data[at + 11 :])
    return path


def close(pixel: np.ndarray, colour: tuple[int, int, int], within: int = 12) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() <= within)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_nearest_frames_with_their_own_seconds(name: str, tmp_path: Path):
    how = dict(KINDS[name])
    fps = how.get("fps", 8)
    path = made(tmp_path, name, **how)
    with open_film(path, name) as film:
        assert film.seconds == pytest.approx(48 / fps, abs=0.3)
        footage = film_footage(film, FrameChoice(by="count", count=12), FrameBudget())
    seconds = footage.clip.times
    last = footage.seconds - 1 / fps
    wanted = [k * last / 11 for k in range(12)]
    assert len(seconds) == 12
    assert np.abs(np.subtract(seconds, wanted)).max() <= 0.51 / fps + 0.002
    numbers = [number_of(frame) for frame in footage.clip.frames]
    # Lossy greys are one off now and then; a wrong frame would be four off.
    assert np.abs(np.subtract(numbers, np.multiply(seconds, fps))).max() <= 1.1
    tolerance = 40 if name.endswith("gif") else 12
    height, width = footage.clip.frames.shape[1:3]
    assert close(footage.clip.frames[0, height // 4, width * 3 // 4], RED, tolerance)
    assert close(footage.clip.frames[0, height * 3 // 4, width * 3 // 4], BLUE, tolerance)
    assert footage.cost.decoded <= 60
    assert not footage.notes


def test_a_film_in_memory_is_read_as_a_file_is(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    with open_film(path, "a") as film:
        one = film_footage(film, FrameChoice(), FrameBudget())
    with open_film(io.BytesIO(path.read_bytes()), "a") as film:
        other = film_footage(film, FrameChoice(), FrameBudget())
    assert one.clip.times == other.clip.times
    assert (one.clip.frames == other.clip.frames).all()


def test_the_seconds_of_a_film_of_changing_rate_are_true(tmp_path: Path):
    times = [*(k / 8 for k in range(8)), 3.0, *(3 + k / 20 for k in range(1, 20))]
    path = write_film(tmp_path / "a.mp4", times=times, count=28)
    with open_film(path, "a") as film:
        footage = film_footage(film, FrameChoice(by="count", count=16), FrameBudget())
    for second, frame in zip(footage.clip.times, footage.clip.frames, strict=True):
        shown = max(k for k, at in enumerate(times) if at <= second + 0.002)
        assert abs(number_of(frame) - shown) <= 1, second
    # While one frame stays on screen for two seconds it is shown again, at later seconds.
    held = [s for s in footage.clip.times if 0.9 < s < 2.99]
    assert len(held) >= 5
    assert len(set(held)) == len(held)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film_is_upright(degrees: int, tmp_path: Path):
    """As ComfyUI turns it: by the display matrix, against the clock."""
    path = write_film(tmp_path / "a.mp4", count=8, rotate=degrees)
    with open_film(path, "a") as film:
        clip = film_footage(film, FrameChoice(), FrameBudget()).clip
    expected = np.rot90(numbered(0), round(degrees / 90))
    height, width = clip.frames.shape[1:3]
    assert (height > width) == (expected.shape[0] > expected.shape[1])
    for y, x in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        wanted = expected[int(expected.shape[0] * y), int(expected.shape[1] * x)]
        assert close(clip.frames[0, int(height * y), int(width * x)], tuple(wanted), 14)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "qtrle", "argb"), ("a.mov", "png", "rgba"),
     ("a.mov", "prores_ks", "yuva444p10le")],
)  # fmt: skip
def test_alpha_is_laid_on_white(name: str, codec: str, pix_fmt: str, tmp_path: Path):
    frame = np.zeros((64, 96, 4), np.uint8)
    frame[:, 48:] = (220, 30, 30, 255)
    options = {"auto-alt-ref": "0"} if codec == "libvpx-vp9" else {}
    path = write_film(
        tmp_path / name, codec=codec, pix_fmt=pix_fmt, frames=[frame] * 4, options=options
    )
    with open_film(path, name) as film:
        clip = film_footage(film, FrameChoice(), FrameBudget()).clip
    assert close(clip.frames[0, 32, 16], (255, 255, 255))
    assert close(clip.frames[0, 32, 80], RED)


def test_frames_come_in_the_size_that_is_asked_for(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", count=16, size_wh=(640, 360))
    with open_film(path, "a") as film:
        clip = film_footage(film, FrameChoice(), FrameBudget(frame_tokens=40)).clip
    assert clip.frames.shape[1:3] == (4 * 32, 8 * 32)
    assert clip.keep_size


def test_oblong_pixels_are_squared(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", count=4, pixel_shape=2)
    with open_film(path, "a") as film:
        frame = next(FrameReader(film, keep).read([0.0]))
    assert frame.pixels.shape == (64, 192, 3)


def test_a_trimmed_film_begins_at_its_own_second_0(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    with open_film(path, "a", trim=(2.0, 3.0)) as film:
        assert film.seconds == pytest.approx(3.0)
        own = film_footage(film, FrameChoice(by="count", count=6), FrameBudget())
    with open_film(path, "a", trim=(2.0, 3.0)) as film:
        source = film_footage(film, FrameChoice(by="count", count=6), FrameBudget(), True)
    assert own.clip.times[0] == pytest.approx(0.0)
    assert own.clip.times[-1] == pytest.approx(2.875)
    assert np.subtract(source.clip.times, own.clip.times) == pytest.approx(2.0)
    assert [number_of(f) for f in own.clip.frames][0] == pytest.approx(16, abs=1)
    assert [number_of(f) for f in own.clip.frames][-1] == pytest.approx(39, abs=1)


def test_a_part_keeps_the_seconds_of_the_film(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    with open_film(path, "a") as film:
        clip = film_footage(film, FrameChoice(start=3.0, end=5.0), FrameBudget()).clip
    assert clip.times[0] == pytest.approx(3.0)
    assert clip.times[-1] == pytest.approx(4.875)


def test_every_nth_frame_is_counted_by_the_frames_there_are(tmp_path: Path):
    times = [*(k / 8 for k in range(8)), *(3 + k / 20 for k in range(20))]
    path = write_film(tmp_path / "a.mp4", times=times, count=28)
    with open_film(path, "a") as film:
        clip = film_footage(film, FrameChoice(by="every", every=5), FrameBudget()).clip
    assert clip.times == pytest.approx([times[k] for k in range(0, 28, 5)], abs=0.002)


def test_a_scene_gives_a_pair_of_frames(tmp_path: Path):
    colours = [(200, 40, 40)] * 20 + [(40, 200, 40)] * 12 + [(40, 40, 200)] * 16
    frames = [np.full((64, 96, 3), c, np.uint8) for c in colours]
    path = write_film(tmp_path / "a.mp4", frames=frames)
    with open_film(path, "a") as film:
        clip = film_footage(film, FrameChoice(by="scenes"), FrameBudget()).clip
    assert clip.times == pytest.approx([0, 0.5, 2.5, 3.0, 4.0, 4.5], abs=0.2)
    assert [int(f[32, 48].argmax()) for f in clip.frames] == [0, 0, 1, 1, 2, 2]


def test_a_long_film_is_read_at_its_key_frames(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", count=3000, fps=10, gop=50, size_wh=(64, 64),
                      options={"preset": "ultrafast", "sc_threshold": "0"})  # fmt: skip
    with open_film(path, "a") as film:
        footage = film_footage(film, FrameChoice(by="count", count=30), FrameBudget())
    seconds = footage.clip.times
    wanted = [k * 299.9 / 29 for k in range(30)]
    assert np.abs(np.subtract(seconds, wanted)).max() < 4.2
    assert footage.cost.decoded < 200
    for second, frame in zip(seconds, footage.clip.frames, strict=True):
        assert abs(number_of(frame) - round(second * 10) % 60) <= 1


def test_reading_is_looked_into_now_and_then(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4")
    calls: list[int] = []

    class StopError(Exception):
        pass

    def check() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise StopError

    with pytest.raises(StopError), open_film(path, "a", check=check) as film:
        film_footage(film, FrameChoice(), FrameBudget())
    assert len(calls) == 3


def test_a_film_of_one_frame_and_one_shorter_than_a_step(tmp_path: Path):
    for count in (1, 2, 3):
        path = write_film(tmp_path / f"{count}.mp4", count=count)
        with open_film(path, "a") as film:
            clip = film_footage(film, FrameChoice(rate=0.1), FrameBudget()).clip
        assert len(clip.times) == count


def test_even_moments_are_those_of_the_official_sampling():
    """numpy.linspace(0, total - 1, count).round(), of transformers and of qwen_vl_utils."""
    for total, fps in ((48, 8), (250, 25), (300, 29.97), (7, 8), (1000, 60)):
        moments = even_moments(FrameChoice(), total / fps, fps).seconds
        count = len(moments)
        official = np.linspace(0, total - 1, count).round().astype(int)
        ours = [int(second * fps + 1e-6) for second in moments]
        # A tie may go either way.
        assert np.abs(np.subtract(ours, official)).max() <= 1
        assert np.mean(np.equal(ours, official)) > 0.85
        assert count == 1 or count % 2 == 0 or count == total


def test_not_one_more_frame_than_the_most():
    assert len(even_moments(FrameChoice(max_frames=10), 600.0, 25.0).seconds) == 10
    with pytest.raises(InputError, match="below 1"):
        FrameChoice(max_frames=0)
