"""Picture files with known pixels: colours in flat blocks, profiles and headers made by hand."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

BLOCK = 16
COLOURS = np.array(
    [[[250, 20, 40], [30, 200, 60], [10, 30, 220]], [[128, 128, 128], [250, 240, 10], [90, 0, 120]]]
)
INKS = np.array(
    [
        [[0, 0, 0, 0], [200, 20, 0, 30], [0, 180, 180, 0]],
        [[60, 0, 90, 120], [0, 0, 0, 255], [9] * 4],
    ]
)
LEVELS = np.array([[0, 60, 128], [200, 255, 17]])
BITS = np.array([[0, 255, 0], [255, 255, 0]])
ALPHAS = np.array([[0, 255, 128], [64, 255, 200]])


def blocks(values, dtype: type = np.uint8):
    """Each value as a flat block of 16 x 16 pixels: all codecs keep those."""
    return np.asarray(values).repeat(BLOCK, 0).repeat(BLOCK, 1).astype(dtype)


def grey_truth(levels):
    return np.repeat(np.asarray(levels)[..., None], 3, -1)


def over(colours, alphas, background=(255, 255, 255)):
    cover = np.asarray(alphas)[..., None] / 255
    return np.asarray(colours) * cover + np.array(background) * (1 - cover)


def plain_rgb(inks):
    inks = np.asarray(inks)
    return (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255


def saved(image, kind, **options):
    data = io.BytesIO()
    # A copy: an image remembers the encoder it went through.
    image.copy().save(data, kind, **options)
    return data.getvalue()


def animation(image, kind, **options):
    others = [image.rotate(180), image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return saved(image, kind, save_all=True, append_images=others, **options)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels, kind, *chunks):
    """A PNG of 8 or 16 bits, by the array's type; `kind` is the colour type: 0, 2, 4 or 6."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def tiff(pixels, photometric, order="<", **tags):
    """An uncompressed TIFF; `tags` are whole numbers by name, `t<number>`."""
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = struct.pack(f"{order}{samples}H", *[8 * pixels.itemsize] * samples)
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    values = {256: width, 257: height, 259: 1, 262: photometric, 273: 8, 277: samples}
    values |= {278: height, 279: len(raw), 339: 3 if pixels.dtype.kind == "f" else 1}
    values |= {int(name[1:]): value for name, value in tags.items()}
    place = 8 + len(raw)
    entries = [struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in values.items()]
    if samples > 1:
        entries.append(struct.pack(order + "HHII", 258, 3, samples, place))
    else:
        entries.append(struct.pack(order + "HHIHH", 258, 3, 1, 8 * pixels.itemsize, 0))
    entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + b"\0\0\0\0"
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", place + len(bits)) + raw + bits + directory


def without_adobe(jpeg):
    """A JPEG less its Adobe segment: whose inks are to be taken as they are stored."""
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4], "big") :]


def ycck(inks):
    """A JPEG as Photoshop writes it: inks as luminance and colour, and black by itself."""
    inks = blocks(inks)
    # The standard takes 255 - CMY for RGB, and Adobe's inks are inverted once more: CMY itself.
    bands = Image.fromarray(inks[..., :3]).convert("YCbCr").split()
    # Pillow inverts all it writes as CMYK: black is to be, the other three are not.
    inverted = [band.point(lambda value: 255 - value) for band in bands]
    stored = Image.merge("CMYK", [*inverted, Image.fromarray(inks[..., 3])])
    data = bytearray(saved(stored, "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def _fixed(*numbers):
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)


def _profile(device, space, connection, tags):
    body, table = b"", struct.pack(">I", len(tags))
    for name, data in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(body)
        table += name + struct.pack(">II", place, len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = struct.pack(">I4sI", 132 + 12 * len(tags) + len(body), b"\0" * 4, 0x02400000)
    header += device + space + connection + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


def _xyz(*numbers):
    return b"XYZ \0\0\0\0" + _fixed(*numbers)


def _gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256)) + b"\0\0"


# Adobe RGB (1998), its primaries brought to D50.
WIDE_PRIMARIES = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
WIDE_GAMMA = 563 / 256


def wide_profile():
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249)}
    for name, primary in zip("rgb", WIDE_PRIMARIES, strict=True):
        tags[f"{name}XYZ".encode()] = _xyz(*primary)
        tags[f"{name}TRC".encode()] = _gamma(WIDE_GAMMA)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma=1.0):
    tags = {b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"kTRC": _gamma(gamma)}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def ink_profile():
    """A press whose inks are far from plain: each corner of the four has a Lab value."""
    line = bytes(range(256))
    corners = b""
    for corner in range(16):
        cyan, magenta, yellow, black = ((corner >> bit) & 1 for bit in (3, 2, 1, 0))
        light = (1 - 0.85 * black) * (1 - 0.3 * cyan) * (1 - 0.35 * magenta) * (1 - 0.05 * yellow)
        red_green = (1 - black) * (50 * magenta - 25 * cyan)
        blue_yellow = (1 - black) * (60 * yellow - 30 * cyan)
        corners += bytes([round(light * 255), round(128 + red_green), round(128 + blue_yellow)])
    table = b"mft1\0\0\0\0\x04\x03\x02\0" + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += line * 4 + corners + line * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(0.9642, 1, 0.8249), b"A2B0": table})


# XYZ at D50 to linear sRGB (Lindbloom).
_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def wide_to_srgb(colours):
    """What the colours of the wide profile are in sRGB, by the formulas instead of littleCMS."""
    linear = (np.asarray(colours) / 255) ** WIDE_GAMMA
    light = (linear @ np.array(WIDE_PRIMARIES) @ _TO_SRGB.T).clip(0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return curved * 255
