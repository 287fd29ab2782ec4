"""Every kind of picture file comes out with the colours that were put in."""

import io
import sys
import types

import numpy as np
import pytest
from picture_samples import (
    ALPHAS,
    BITS,
    COLOURS,
    INKS,
    LEVELS,
    animation,
    blocks,
    chunk,
    grey_profile,
    grey_truth,
    ink_profile,
    over,
    plain_rgb,
    png,
    saved,
    tiff,
    wide_profile,
    wide_to_srgb,
    without_adobe,
    ycck,
)
from PIL import Image, ImageCms, ImageOps, features
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.picture_reader import read_picture
from qwen3vl_nodes.utils.images.guards import exif_orientation

RGB = Image.fromarray(blocks(COLOURS))
GREY = Image.fromarray(blocks(LEVELS))
BIT = Image.fromarray(blocks(BITS)).convert("1")
CMYK = Image.frombytes("CMYK", RGB.size, blocks(INKS).tobytes())
RGBA = Image.fromarray(np.dstack([blocks(COLOURS), blocks(ALPHAS)]))
LA = Image.merge("LA", [GREY, Image.fromarray(blocks(ALPHAS))])
PALETTE = RGB.quantize(6)
WIDE_GREY = blocks(LEVELS, np.uint16) * 257
FLOAT = Image.fromarray(blocks(LEVELS / 255, np.float32))
BEST = {"quality": 100, "subsampling": 0}
AVIF = {"quality": 100, "subsampling": "4:4:4"}
FIRST = tuple(int(value) for value in COLOURS[0, 0])
CLEAR_FIRST = np.where(np.arange(6).reshape(2, 3) == 0, 0, 255)
GREY_CLEAR = np.where(LEVELS == 60, 0, 255)


def two_pages():
    return saved(RGB, "TIFF", save_all=True, append_images=[RGB.rotate(180)])


def palette_with_alphas():
    """Palette entries with an alpha each; the entry decides which block has which."""
    index = np.asarray(PALETTE)[8::16, 8::16]
    data = saved(PALETTE, "PNG", transparency=bytes([0, 50, 100, 150, 200, 255]))
    return data, over(COLOURS, np.array([0, 50, 100, 150, 200, 255])[index])


PLAIN = {
    "png": lambda: saved(RGB, "PNG"),
    "png by hand": lambda: png(blocks(COLOURS), 2),
    "apng": lambda: animation(RGB, "PNG"),
    "jpeg": lambda: saved(RGB, "JPEG", **BEST),
    "jpeg progressive": lambda: saved(RGB, "JPEG", progressive=True, **BEST),
    "jpeg in RGB": lambda: saved(RGB, "JPEG", keep_rgb=True, **BEST),
    "mpo": lambda: animation(RGB, "MPO", **BEST),
    "webp lossless": lambda: saved(RGB, "WEBP", lossless=True),
    "webp animation": lambda: animation(RGB, "WEBP", lossless=True),
    "gif": lambda: saved(PALETTE, "GIF"),
    "gif animation": lambda: animation(RGB, "GIF"),
    "bmp": lambda: saved(RGB, "BMP"),
    "bmp palette": lambda: saved(PALETTE, "BMP"),
    "png palette": lambda: saved(PALETTE, "PNG"),
    "tiff": lambda: saved(RGB, "TIFF"),
    "tiff palette": lambda: saved(PALETTE, "TIFF"),
    "tiff lzw": lambda: saved(RGB, "TIFF", compression="tiff_lzw"),
    "tiff deflate": lambda: saved(RGB, "TIFF", compression="tiff_deflate"),
    "tiff packbits": lambda: saved(RGB, "TIFF", compression="packbits"),
    "tiff jpeg": lambda: saved(RGB, "TIFF", compression="jpeg", quality=100),
    "tiff big": lambda: saved(RGB, "TIFF", big_tiff=True),
    "tiff pages": two_pages,
    "tiff 16 bit": lambda: tiff(blocks(COLOURS, np.uint16) * 257, 2),
    "tiff 16 bit big-endian": lambda: tiff(blocks(COLOURS, np.uint16) * 257, 2, ">"),
    "png 16 bit": lambda: png(blocks(COLOURS, np.uint16) * 257, 2),
    "avif": lambda: saved(RGB, "AVIF", **AVIF),
    "avif sequence": lambda: animation(RGB, "AVIF", **AVIF),
}  # fmt: skip
GREYS = {
    "png grey": lambda: saved(GREY, "PNG"),
    "jpeg grey": lambda: saved(GREY, "JPEG", quality=100),
    "gif grey": lambda: saved(GREY, "GIF"),
    "bmp grey": lambda: saved(GREY, "BMP"),
    "tiff grey": lambda: saved(GREY, "TIFF"),
    "tiff white is zero": lambda: tiff(255 - blocks(LEVELS), 0),
    "png 16 bit grey": lambda: png(WIDE_GREY, 0),
    "tiff 16 bit grey": lambda: tiff(WIDE_GREY, 1),
    "tiff 16 bit grey big-endian": lambda: tiff(WIDE_GREY, 1, ">"),
    "tiff 16 bit white is zero": lambda: tiff(65_535 - WIDE_GREY, 0),
    "tiff 16 bit lzw": lambda: saved(Image.fromarray(WIDE_GREY), "TIFF", compression="tiff_lzw"),
    "tiff signed 16 bit": lambda: tiff((WIDE_GREY >> 1).astype(np.int16), 1, t339=2),
    "tiff float": lambda: saved(FLOAT, "TIFF"),
    "tiff float with NaN": lambda: saved(with_nan(), "TIFF"),
    "tiff 32 bit": lambda: tiff(blocks(LEVELS, np.uint32) * 257, 1),
}
ALPHA = {
    "png": lambda: (saved(RGBA, "PNG"), COLOURS),
    "webp": lambda: (saved(RGBA, "WEBP", lossless=True), COLOURS),
    "tiff": lambda: (saved(RGBA, "TIFF"), COLOURS),
    "avif": lambda: (saved(RGBA, "AVIF", **AVIF), COLOURS),
    "png grey": lambda: (saved(LA, "PNG"), grey_truth(LEVELS)),
    "tiff grey": lambda: (saved(LA, "TIFF"), grey_truth(LEVELS)),
    "png 16 bit": lambda: (png(np.asarray(RGBA).astype(np.uint16) * 257, 6), COLOURS),
    "png 16 bit grey": lambda: (png(np.asarray(LA).astype(np.uint16) * 257, 4), grey_truth(LEVELS)),
}


def srgb():
    return ImageCms.createProfile("sRGB")


def with_nan():
    values = np.asarray(FLOAT).copy()
    values[:16, :16] = np.nan  # the first block is black
    values[:16, 8:16] = np.inf
    return Image.fromarray(values)


def read(folder, data, **options):
    path = folder / "picture.png"  # the name tells nothing of the format
    path.write_bytes(data)
    return read_picture(path, **options).pixels


def assert_blocks(pixels, truth, tolerance=2):
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
    expected = np.asarray(truth).repeat(16, 0).repeat(16, 1)
    assert pixels.shape == expected.shape
    off = np.abs(pixels.astype(float) - expected)
    assert off.max() <= tolerance + 0.5  # the truth is not rounded


def needs(name):
    if "avif" in name and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")


@pytest.mark.parametrize("name", PLAIN)
def test_colours(tmp_path, name):
    needs(name)
    assert_blocks(read(tmp_path, PLAIN[name]()), COLOURS)


def test_lossy_webp(tmp_path):
    """It halves the colours' resolution with a filter: only the middle of a block is exact."""
    pixels = read(tmp_path, saved(RGB, "WEBP", quality=100))
    assert np.abs(pixels[8::16, 8::16].astype(int) - COLOURS).max() <= 3


@pytest.mark.parametrize("name", GREYS)
def test_grey(tmp_path, name):
    assert_blocks(read(tmp_path, GREYS[name]()), grey_truth(LEVELS))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "G4"])
def test_one_bit(tmp_path, kind):
    data = saved(BIT, "TIFF", compression="group4") if kind == "G4" else saved(BIT, kind)
    assert_blocks(read(tmp_path, data), grey_truth(BITS), 0)


def test_dark_16_bit_grey_stays_dark(tmp_path):
    assert read(tmp_path, png(np.full((4, 4), 200, np.uint16), 0)).max() == 1


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 30)])
@pytest.mark.parametrize("name", ALPHA)
def test_alpha_is_laid_on_the_chosen_colour(tmp_path, name, background):
    needs(name)
    data, colours = ALPHA[name]()
    truth = over(colours, ALPHAS, background)
    assert_blocks(read(tmp_path, data, background=background), truth)


@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (lambda: saved(RGB, "PNG", transparency=FIRST), over(COLOURS, CLEAR_FIRST)),
        (lambda: saved(GREY, "PNG", transparency=60), over(grey_truth(LEVELS), GREY_CLEAR)),
        (lambda: saved(BIT, "PNG", transparency=0), over(grey_truth(BITS), BITS)),
        (
            lambda: png(WIDE_GREY, 0, chunk(b"tRNS", (60 * 257).to_bytes(2, "big"))),
            over(grey_truth(LEVELS), GREY_CLEAR),
        ),
        (
            lambda: png(
                blocks(COLOURS, np.uint16) * 257, 2,
                chunk(b"tRNS", b"".join((v * 257).to_bytes(2, "big") for v in FIRST)),
            ),
            over(COLOURS, CLEAR_FIRST),
        ),
    ],
    ids=["colour", "grey", "bit", "16 bit grey", "16 bit colour"],
)  # fmt: skip
def test_one_colour_is_transparent(tmp_path, make, truth):
    assert_blocks(read(tmp_path, make()), truth)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_one_palette_entry_is_transparent(tmp_path, kind):
    index = np.asarray(PALETTE)[8::16, 8::16]
    truth = over(COLOURS, np.where(index == 2, 0, 255))
    assert_blocks(read(tmp_path, saved(PALETTE, kind, transparency=2)), truth)


def test_palette_entries_have_alphas(tmp_path):
    data, truth = palette_with_alphas()
    assert_blocks(read(tmp_path, data), truth)


@pytest.mark.parametrize(
    "make",
    [
        lambda: saved(CMYK, "TIFF"),
        lambda: saved(CMYK, "TIFF", compression="tiff_lzw"),
        lambda: saved(CMYK, "JPEG", **BEST),
        lambda: without_adobe(saved(ink_negative(), "JPEG", **BEST)),
        lambda: ycck(INKS),
    ],
    ids=["tiff", "tiff lzw", "jpeg of Adobe", "jpeg not of Adobe", "jpeg YCCK"],
)
def test_inks_without_a_profile(tmp_path, make):
    assert_blocks(read(tmp_path, make()), plain_rgb(INKS))


def ink_negative():
    return Image.frombytes("CMYK", RGB.size, (255 - blocks(INKS)).tobytes())


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", BEST), ("WEBP", {"lossless": True}), ("TIFF", {}), ("AVIF", AVIF)],
)
def test_a_profile_of_rgb_is_applied(tmp_path, kind, options):
    needs(kind.lower())
    muted = COLOURS // 2 + 60  # inside sRGB, or the formulas would have to clip as littleCMS does
    image = Image.fromarray(blocks(muted))
    pixels = read(tmp_path, saved(image, kind, icc_profile=wide_profile(), **options))
    assert np.abs(wide_to_srgb(muted) - muted).max() > 8
    assert_blocks(pixels, wide_to_srgb(muted), 3 if options else 2)


def by_littlecms(image, profile):
    """The direct way: the picture in memory, from its profile to sRGB in one step."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, source, srgb(), outputMode="RGB"))


@pytest.mark.parametrize(
    ("image", "kind", "profile"),
    [
        (RGB, "PNG", wide_profile()),
        (GREY, "PNG", grey_profile()),
        (GREY, "TIFF", grey_profile(1.8)),
        (GREY, "JPEG", grey_profile()),
        (CMYK, "TIFF", ink_profile()),
        (CMYK, "JPEG", ink_profile()),
    ],
)
def test_a_profile_gives_what_littlecms_gives(tmp_path, image, kind, profile):
    options = BEST if image.mode == "CMYK" and kind == "JPEG" else {}
    options = options or ({"quality": 100} if kind == "JPEG" else {})
    data = saved(image, kind, icc_profile=profile, **options)
    stored = Image.open(io.BytesIO(data)).convert(image.mode)
    wanted = by_littlecms(stored, profile)
    assert np.abs(wanted.astype(int) - np.asarray(image.convert("RGB"))).max() > 8
    assert np.abs(read(tmp_path, data).astype(int) - wanted).max() <= 2


def test_lab(tmp_path):
    lab = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(RGB, srgb(), lab, outputMode="LAB")
    wanted = np.asarray(ImageCms.profileToProfile(image, lab, srgb(), outputMode="RGB"))
    assert np.abs(read(tmp_path, saved(image, "TIFF")).astype(int) - wanted).max() <= 2


def test_a_profile_of_16_bit_grey(tmp_path):
    data = saved(Image.fromarray(WIDE_GREY), "TIFF", icc_profile=grey_profile())
    wanted = by_littlecms(GREY, grey_profile())
    assert np.abs(read(tmp_path, data).astype(int) - wanted).max() <= 2


def test_profiles_of_pictures_that_pillow_converts_first(tmp_path):
    wide = wide_profile()
    assert_blocks(read(tmp_path, saved(PALETTE, "PNG", icc_profile=wide)), by(RGB, wide))
    grey_in_rgb = saved(GREY, "PNG", icc_profile=wide)
    assert_blocks(read(tmp_path, grey_in_rgb), by(GREY.convert("RGB"), wide))
    alpha = read(tmp_path, saved(RGBA, "PNG", icc_profile=wide), background=(0, 0, 0))
    assert_blocks(alpha, over(by(RGB, wide), ALPHAS, (0, 0, 0)))


def by(image, profile):
    return by_littlecms(image, profile)[8::16, 8::16]


@pytest.mark.parametrize(
    "profile",
    [b"x" * 50, b"x" * 5000, wide_profile()[:200], wide_profile().replace(b"XYZ ", b"junk"),
     grey_profile(), ink_profile(), ImageCms.ImageCmsProfile(srgb()).tobytes()],
    ids=["short", "noise", "cut", "unknown", "of grey", "of inks", "sRGB itself"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_profile_that_is_broken_or_fits_not_changes_nothing(tmp_path, profile, kind):
    data = saved(RGB, kind, icc_profile=profile)
    assert_blocks(read(tmp_path, data), COLOURS, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", BEST), ("WEBP", {"lossless": True}), ("TIFF", {}),
     ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", AVIF)],
)  # fmt: skip
def test_every_orientation(tmp_path, kind, options, orientation):
    needs(kind.lower())
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(RGB, kind, exif=exif, **options)
    marked = Image.fromarray(COLOURS.astype(np.uint8))
    marked.getexif()[274] = orientation
    assert_blocks(read(tmp_path, data), np.asarray(ImageOps.exif_transpose(marked)))


BEYOND = b"II+\0\x08\0\0\0" + b"\xff" * 8  # a directory farther away than a file can be long
ODD = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x4d\0\0\0\0\0\0\0"  # orientation 77


@pytest.mark.parametrize(
    "exif",
    [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x" * 40, BEYOND, ODD],
    ids=["empty", "only named", "cut", "noise", "beyond", "odd orientation"],
)
def test_broken_exif_is_no_reason_to_refuse(tmp_path, exif):
    block = chunk(b"eXIf", exif)
    assert_blocks(read(tmp_path, png(blocks(COLOURS), 2, block)), COLOURS, 0)
    assert exif_orientation(exif) == 1


def test_orientation_in_xmp_and_in_text(tmp_path):
    xmp = b'<x tiff:Orientation="6"/>'
    assert read(tmp_path, saved(RGB, "WEBP", lossless=True, xmp=xmp)).shape == (48, 32, 3)
    exif = Image.Exif()
    exif[274] = 6
    block = exif.tobytes()
    text = f"\nexif\n{len(block)}\n{block.hex()}\n".encode()
    noted = chunk(b"tEXt", b"Raw profile type exif\0" + text)
    assert read(tmp_path, png(blocks(COLOURS), 2, noted)).shape == (48, 32, 3)


def test_a_large_picture_goes_through_in_strips(tmp_path, monkeypatch):
    monkeypatch.setattr("qwen3vl_nodes.utils.images.color.STRIP_PIXELS", 48 * 5)
    assert_blocks(read(tmp_path, saved(RGBA, "PNG")), over(COLOURS, ALPHAS))


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64


def test_heic_without_its_package_is_named_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"picture.png is a HEIC.*pip install pillow-heif"):
        read(tmp_path, HEIC)


def test_heic_goes_through_its_package(tmp_path, monkeypatch):
    opened = types.SimpleNamespace(size=RGB.size, to_pillow=RGB.copy)
    package = types.SimpleNamespace(open_heif=lambda file: opened)
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    assert_blocks(read(tmp_path, HEIC), COLOURS, 0)
    opened.size = (20_000, 20_000)
    with pytest.raises(InputError, match="million pixels"):
        read(tmp_path, HEIC)


def test_a_real_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(RGB).save(data, quality=100, chroma=444)
    assert_blocks(read(tmp_path, data.getvalue()), COLOURS, 3)
