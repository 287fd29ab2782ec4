"""Picture files: read upright, a little ahead, and bad ones named."""

import os
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import picture_reader
from qwen3vl_nodes.utils.files.fingerprint import digest
from qwen3vl_nodes.utils.files.picture_reader import read_file, read_picture
from qwen3vl_nodes.utils.files.read_ahead import READ_AHEAD, read_ahead
from qwen3vl_nodes.utils.images import decode


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def plain(width=8, height=4, value=100):
    return np.full((height, width, 3), value, np.uint8)


def test_exif_rotation_is_applied(tmp_path):
    image = Image.fromarray(plain(8, 4))
    exif = image.getexif()
    exif[274] = 6  # rotate by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").size_wh == (4, 8)


def test_sixteen_bits_are_scaled_not_cut(tmp_path):
    grey = np.array([[0, 32768, 65535]], np.uint16)
    pixels = read_picture(save(tmp_path / "a.png", grey)).pixels
    assert pixels[0, :, 0].tolist() == [0, 128, 255]


def test_alpha_is_laid_on_white(tmp_path):
    clear = np.zeros((2, 2, 4), np.uint8)
    assert read_picture(save(tmp_path / "a.png", clear)).pixels.min() == 255
    palette = Image.fromarray(np.zeros((2, 2), np.uint8)).convert("P")
    palette.save(tmp_path / "b.gif", transparency=0)
    assert read_picture(tmp_path / "b.gif").pixels.min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F", "I"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    image = Image.fromarray(plain()).convert(mode)
    path = tmp_path / "a.tiff"
    image.save(path)
    pixels = read_picture(path).pixels
    assert pixels.shape == (4, 8, 3) and pixels.dtype == np.uint8


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(plain(value=v)) for v in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert abs(int(read_picture(tmp_path / "a.gif").pixels[0, 0, 0]) - 10) < 4


def png_header(width, height):
    """A PNG that promises a size and delivers no pixel."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + body
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + b"\0\0\0\x10IDAT"
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.png", b"", "has 0 bytes"),
        ("text.jpg", b"I am no picture", "text.jpg is no PNG"),
        ("large.png", png_header(12_000, 10_000), r"100 million pixels \(12000 x 10000\)"),
        ("bomb.png", png_header(60_000, 60_000), "bomb.png has more than 100 million pixels"),
        ("header.png", png_header(8, 8), "header.png cannot be read"),
        ("page.png", b"<!DOCTYPE html><html></html>", "page.png is no PNG"),
        ("doc.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "doc.png is no PNG"),
    ],
)
def test_bad_files_are_named_with_a_remedy(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_picture(path)
    assert caught.value.remedy


def test_a_truncated_picture_is_an_error_not_half_a_picture(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", noise)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(InputError, match="truncated"):
        read_picture(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_reader, "MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="bytes"):
        read_picture(save(tmp_path / "a.png", plain()))


def test_a_missing_file_is_an_error_line(tmp_path):
    with pytest.raises(InputError, match="gone.png"):
        read_picture(tmp_path / "gone.png")


def test_the_facts_are_those_of_the_bytes_that_were_decoded(tmp_path):
    path = save(tmp_path / "a.png", plain())
    os.utime(path, ns=(7, 1_700_000_000_123_456_789))
    facts = read_file(path).facts
    assert facts.digest == digest(path.read_bytes())
    assert facts.stamp == picture_reader.file_stamp(path.stat())


def test_a_picture_that_is_replaced_while_it_is_read_is_known_by_what_was_read(
    tmp_path, monkeypatch
):
    path = save(tmp_path / "a.png", plain(value=1))
    old, decoded = path.read_bytes(), decode._decoded

    def replaced_meanwhile(*args):
        save(path, plain(value=2))
        return decoded(*args)

    monkeypatch.setattr(decode, "_decoded", replaced_meanwhile)
    read = read_file(path)
    assert read.picture.pixels.max() == 1 and read.facts.digest == digest(old)
    assert read.facts.stamp != picture_reader.file_stamp(path.stat())  # so the next run looks again


def test_reading_ahead_keeps_the_order_and_loses_nothing(tmp_path):
    paths = [save(tmp_path / f"{n}.png", plain(value=n)) for n in range(12)]
    paths[5].write_bytes(b"broken")
    results = list(read_ahead(paths, read_picture))
    assert [path for path, _ in results] == paths
    assert isinstance(results[5][1], InputError)
    assert [r.pixels[0, 0, 0] for n, (_, r) in enumerate(results) if n != 5] == [
        n for n in range(12) if n != 5
    ]


def test_reading_ahead_stays_a_few_files_ahead():
    opened = []
    results = read_ahead(range(100), opened.append)
    next(results)
    assert len(opened) <= READ_AHEAD + 1
    results.close()


def test_stopping_waits_for_no_picture_that_is_being_read():
    go, begun = threading.Event(), threading.Event()

    def read(number):
        if number:
            begun.set()
            assert go.wait(10)

    results = read_ahead(range(3), read)
    next(results)
    begun.wait(10)
    closing = threading.Thread(target=results.close, daemon=True)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()
    go.set()
