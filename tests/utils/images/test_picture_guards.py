"""Each guard of the picture reader, shown by a file that gets past everything else."""

import io
import logging
import os
import stat
import struct
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_samples import animation, chunk, png, saved, tiff, wide_profile
from PIL import Image, ImageFile, PngImagePlugin, WebPImagePlugin, features
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import picture_reader
from qwen3vl_nodes.utils.files.picture_reader import read_picture
from qwen3vl_nodes.utils.images import color, guards
from qwen3vl_nodes.utils.images.quiet_pillow import _FILTER, quiet_pillow
from qwen3vl_nodes.utils.roots.open_folder import OpenFolder

OPEN_FILES = Path("/proc/self/fd")
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
RGB = Image.fromarray(NOISE)
SMALL = np.full((4, 4, 3), 100, np.uint8)


def refusal(folder, data):
    path = folder / "bad.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_picture(path)
    assert caught.value.problem.startswith("bad.png ") and caught.value.remedy
    return caught.value.problem


def in_time(work):
    """What `work` returns or raises; fails if it waits."""
    results = []

    def run():
        try:
            results.append(work())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5)
    assert results, "it hangs"
    return results[0]


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


@needs_pipes
def test_a_pipe_or_device_is_not_even_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    opened = os.open

    def open_folders(path, flags, *more, **named):
        assert flags & os.O_DIRECTORY, path
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", open_folders)
    for name in ("pipe.png", "zero.png", "folder.png"):
        with pytest.raises(InputError, match=f"{name} is no ordinary file"):
            read_picture(tmp_path / name)


@needs_pipes
def test_a_pipe_put_in_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    file = tmp_path / "b.png"
    file.write_bytes(b"x")
    seen = file.stat()
    monkeypatch.setattr(OpenFolder, "facts", lambda *_: seen)
    error = in_time(lambda: read_picture(path))
    assert isinstance(error, InputError) and "no ordinary file" in error.problem


def test_a_file_that_grows_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_reader, "MAX_FILE_BYTES", 10)
    small = os.stat_result((stat.S_IFREG, *[0] * 9))
    monkeypatch.setattr(picture_reader.os, "fstat", lambda _handle: small)
    assert "has 11 bytes" in refusal(tmp_path, b"x" * 1000)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
def test_every_file_is_closed(tmp_path):
    good = [saved(RGB, kind) for kind in ("PNG", "TIFF", "GIF", "WEBP", "JPEG")]
    good += [animation(RGB, kind) for kind in ("TIFF", "MPO", "GIF")]
    before = len(list(OPEN_FILES.iterdir()))
    kept = []
    for data in good:
        for part in (data, data[: len(data) // 2], b"x" * 9):
            path = tmp_path / "a"
            path.write_bytes(part)
            try:
                kept.append(read_picture(path))
            except InputError as error:
                kept.append(error)
    assert len(list(OPEN_FILES.iterdir())) == before


TRUNCATED = {
    "PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "GIF": {}, "BMP": {},
    "TIFF": {}, "AVIF": {},
}  # fmt: skip


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", TRUNCATED)
def test_a_file_cut_short_is_refused(tmp_path, kind, part):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    data = saved(RGB, kind, **TRUNCATED[kind])
    refusal(tmp_path, data[: int(len(data) * part)])


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_a_tiff_cut_short_is_refused(tmp_path, compression):
    data = saved(RGB, "TIFF", compression=compression)
    for part in (0.5, 0.9):
        refusal(tmp_path, data[: int(len(data) * part)])


@pytest.mark.parametrize("size_wh", [(12_000, 10_000), (60_000, 60_000)])
def test_pixels_are_counted_before_decoding_whatever_the_host_allows(
    tmp_path, monkeypatch, size_wh
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    data = bytearray(png(SMALL, 2))
    data[16:24] = struct.pack(">II", *size_wh)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert "more than 100 million pixels" in refusal(tmp_path, bytes(data))


def webp(kind, size):
    body = kind + struct.pack("<I", len(size)) + size + bytes(40)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize(
    "data",
    [
        webp(b"VP8X", bytes(4) + (16_382).to_bytes(3, "little") * 2),
        webp(b"VP8L", b"\x2f" + (16_382 | 16_382 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_383)),
    ],
    ids=["extended", "lossless", "lossy"],
)
def test_a_webp_canvas_is_not_allocated_to_learn_its_size(tmp_path, monkeypatch, data):
    def allocated(*_):
        raise AssertionError("allocated")

    monkeypatch.setattr(WebPImagePlugin._webp, "WebPAnimDecoder", allocated)
    assert "more than 100 million pixels (16383 x 16383)" in refusal(tmp_path, data)


def test_the_sizes_of_sound_webps_are_told():
    picture = Image.new("RGBA", (300, 7), (1, 2, 3, 4))
    plain = picture.convert("RGB")
    for data in (
        saved(plain, "WEBP"),
        saved(plain, "WEBP", lossless=True),
        saved(picture, "WEBP"),
        animation(plain, "WEBP"),
    ):
        assert guards._webp_size_wh(data) == (300, 7)


def test_scans_of_a_jpeg_are_counted(tmp_path):
    data = saved(RGB, "JPEG", progressive=True)
    start = data.index(b"\xff\xda")
    end = data.index(b"\xff\xc4", start)
    path = tmp_path / "sound.jpg"
    path.write_bytes(data)
    read_picture(path)
    assert "scans" in refusal(tmp_path, data[:start] + data[start:end] * 100 + data[start:])


def test_the_header_of_a_jpeg_ends(tmp_path, monkeypatch):
    data = saved(RGB, "JPEG")
    assert "does not end" in refusal(tmp_path, data[:2] + b"\xff" * 1_100_000 + data[2:])
    monkeypatch.setattr(guards, "MAX_SEGMENTS", 20)
    assert "does not end" in refusal(tmp_path, data[:2] + b"\xff\xfe\0\2" * 40 + data[2:])


def overlapping(entries, size):
    """An Exif block whose entries, one number each, all hold the same bytes."""
    directory = struct.pack("<H", entries)
    place = 8 + 2 + 12 * entries + 4
    for tag in range(entries):
        directory += struct.pack("<HHII", 0x8000 + tag, 7, size, place)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + bytes(size)


@pytest.mark.filterwarnings("ignore:Tag data")  # Pillow's, as it writes such a thing
def test_exif_that_unpacks_to_far_more_than_the_file_is_refused(tmp_path):
    exif = b"Exif\0\0" + overlapping(300, 20_000)
    assert "asks for more" in refusal(tmp_path, saved(RGB, "JPEG", exif=exif))
    if features.check("avif"):
        assert "asks for more" in refusal(tmp_path, saved(RGB, "AVIF", exif=exif[6:]))


def test_exif_in_many_jpeg_segments_is_added_up(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "MAX_EXIF_BYTES", 1000)
    segment = b"\xff\xe1" + struct.pack(">H", 608) + b"Exif\0\0" + bytes(600)
    data = saved(RGB, "JPEG")
    assert "MB of Exif" in refusal(tmp_path, data[:2] + segment * 2 + data[2:])


def test_blocks_of_exif_in_boxes_are_counted(tmp_path):
    assert "blocks of Exif" in refusal(tmp_path, b"\0\0\0\x18ftypavif" + b"II*\0" * 30)


@pytest.mark.parametrize("tag", [None, 34665, 34853])
def test_a_tiff_directory_that_overlaps_itself_is_refused(tmp_path, tag):
    block = bytearray(overlapping(300, 20_000))
    if tag:
        outer = struct.pack("<HHHIII", 1, tag, 4, 1, 8, 0)
        block[4:8] = struct.pack("<I", len(block))
        block += outer
    assert "asks for more" in refusal(tmp_path, bytes(block))


def test_values_of_a_tiff_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "MAX_TIFF_VALUES", 2)
    assert "asks for more" in refusal(tmp_path, tiff(SMALL, 2))


def test_tiles_of_a_tiff_are_measured(tmp_path):
    assert "tiles of 900 million pixels" in refusal(
        tmp_path, tiff(SMALL, 2, t322=30_000, t323=30_000)
    )


def test_layers_of_16_bits_are_refused_rather_than_misread(tmp_path):
    assert "separate layers" in refusal(tmp_path, tiff(SMALL.astype(np.uint16) * 257, 2, t284=2))


def test_colour_profiles_of_a_png_are_counted(tmp_path):
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1000)))
    assert "colour profiles" in refusal(tmp_path, png(SMALL, 2, *[profile] * 5))


def test_chunks_of_a_png_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(guards, "MAX_SEGMENTS", 50)
    assert "chunks" in refusal(tmp_path, png(SMALL, 2, *[chunk(b"teSt", b"")] * 60))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_a_bomb_in_a_png_is_not_unpacked(tmp_path, kind):
    """The guard is Pillow's; this fails if it, or the error it raises, is lost on the way."""
    lead = b"x\0\1\0\0\0" if kind == b"iTXt" else b"x\0\0"
    bomb = chunk(kind, lead + zlib.compress(bytes(100_000_000)))
    started = time.monotonic()
    assert "too large" in refusal(tmp_path, png(SMALL, 2, bomb)).lower()
    assert time.monotonic() - started < 2
    assert PngImagePlugin.MAX_TEXT_CHUNK <= 1 << 20


def test_a_profile_of_many_megabytes_is_ignored(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(saved(RGB, "PNG", icc_profile=wide_profile()))
    assert (read_picture(path).pixels != NOISE).any()
    monkeypatch.setattr(color, "MAX_PROFILE_BYTES", 200)
    assert (read_picture(path).pixels == NOISE).all()


def test_a_pillow_without_avif_says_so(tmp_path, monkeypatch):
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    path = tmp_path / "a.png"
    path.write_bytes(png(SMALL, 2))
    read_picture(path)
    assert "is an AVIF picture" in refusal(tmp_path, b"\0\0\0\x18ftypavif" + bytes(64))


def test_a_format_that_is_not_listed_is_refused(tmp_path):
    for kind in ("ICO", "TGA", "PPM", "PCX"):
        assert "is no PNG" in refusal(tmp_path, saved(RGB.resize((16, 16)), kind))


def odd_tiff():
    """Readable, with a tag whose value lies beyond the end."""
    return tiff(SMALL, 2, t65000=1).replace(
        struct.pack("<HHII", 65000, 4, 1, 1), struct.pack("<HHII", 65000, 2, 900, 100_000)
    )


def test_what_pillow_warns_of_is_not_printed(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(odd_tiff())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read_picture(path)
        assert told == []
        with Image.open(io.BytesIO(odd_tiff())) as image:  # elsewhere Pillow still warns
            image.load()
        assert told


def test_what_pillow_logs_is_not_printed(tmp_path, caplog):
    many = tiff(SMALL, 2).replace(
        struct.pack("<HHII", 277, 4, 1, 3), struct.pack("<HHII", 277, 4, 1, 99)
    )
    refusal(tmp_path, many)
    assert caplog.records == []
    logging.getLogger("PIL.TiffImagePlugin").error("still heard elsewhere")
    assert len(caplog.records) == 1


def test_quiet_threads_leave_the_filters_as_they_were():
    before = list(warnings.filters)
    inside = threading.Barrier(8)

    def work():
        with quiet_pillow():
            inside.wait(5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before and _FILTER not in before
