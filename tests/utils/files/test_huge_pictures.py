"""Pictures of more pixels than are decoded: a JPEG is read smaller, and that is said."""

import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.picture_reader import read_file
from qwen3vl_nodes.utils.images import decode, guards


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    """2,000 pixels are the most, and Pillow's own ceiling is at 4,000."""
    for module in (decode, guards):
        monkeypatch.setattr(module, "MAX_SOURCE_PIXELS", 2000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)


def save(path, size_wh, orientation=1, **options):
    width, height = size_wh
    ramp = np.linspace(0, 255, width, dtype=np.uint8)
    pixels = np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif.tobytes(), quality=95, **options)
    return path


@pytest.mark.parametrize(
    ("size_wh", "seen_wh", "times"),
    [((50, 40), (50, 40), 1), ((60, 40), (30, 20), 2), ((121, 64), (61, 32), 2),
     ((160, 120), (40, 30), 4), ((200, 160), (50, 40), 4)],
)  # fmt: skip
def test_a_jpeg_is_read_smaller(tmp_path, size_wh, seen_wh, times):
    read = read_file(save(tmp_path / "a.jpg", size_wh))
    assert read.picture.size_wh == seen_wh and read.shrunk == times
    assert read.note == ("" if times == 1 else f"read at 1/{times} of its width and height")
    ends = read.picture.pixels[:, [0, -1], 0].mean(0)
    assert ends[0] < 12 and ends[1] > 240  # the whole picture, not a part of it
    assert (
        read_file(save(tmp_path / "b.jpg", size_wh, orientation=6)).picture.size_wh
        == (seen_wh[::-1])
    )


def test_what_would_be_too_large_even_so_is_refused(tmp_path):
    with pytest.raises(InputError, match="million pixels"):
        read_file(save(tmp_path / "a.jpg", (400, 320)))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_other_formats_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="million pixels"):
        read_file(save(tmp_path / name, (60, 40)))


def test_a_jpeg_that_is_held_whole_is_refused(tmp_path):
    """Of a progressive one all coefficients are in memory, however small it is wanted."""
    path = save(tmp_path / "a.jpg", (60, 40), progressive=True)
    assert not guards.can_shrink(path.read_bytes())
    with pytest.raises(InputError, match="million pixels"):
        read_file(path)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\xd8\xff\xda\xff"])
def test_what_is_no_whole_jpeg_cannot_be_shrunk(data):
    assert not guards.can_shrink(data)
