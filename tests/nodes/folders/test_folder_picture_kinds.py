"""Twenty pictures of known content in every kind of file: read as they are meant, and described."""

import io
import random

import numpy as np
import pytest
from evaluation.scores import caption_exact
from folder_node import captioned
from node_running import LOADER, run_node
from picture_samples import blocks, png, saved, tiff
from PIL import Image, ImageOps
from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.files.picture_reader import read_picture
from world import scenes

SCENES_A_KIND = 2
BORDER = 12
# How a picture is stored that is to be turned as the Exif orientation says.
TURNED = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation, kind, **options):
    def make(image):
        stored = image.transpose(TURNED[orientation])
        exif = Image.Exif()
        exif[274] = orientation
        data = saved(stored, kind, exif=exif.tobytes(), **options)
        # What a lossy codec keeps is no matter of reading.
        return data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")

    return make


def with_alpha(image):
    """The border is transparent, and black below."""
    clear = ImageOps.expand(image.convert("RGBA"), BORDER, (0, 0, 0, 0))
    return saved(clear, "PNG"), ImageOps.expand(image, BORDER, (255, 255, 255))


def palette(kind):
    def make(image):
        few = image.quantize(256, dither=Image.Dither.NONE)
        return saved(few, kind), few.convert("RGB")

    return make


def sixteen_bits(make):
    return lambda image: (make(np.asarray(image).astype(np.uint16) * 257), image)


def inks(image):
    """Black is printed with black ink, the rest of each colour with the others."""
    light = np.asarray(image).astype(int)
    stored = np.concatenate((255 - light, np.zeros_like(light[..., :1])), -1).astype(np.uint8)
    return saved(Image.fromarray(stored, "CMYK"), "TIFF"), image


KINDS = {
    "turned 6.png": turned(6, "PNG"),
    "turned 3.webp": turned(3, "WEBP", lossless=True),
    "turned 8.jpg": turned(8, "JPEG", quality=100, subsampling=0),
    "inks.tif": inks,
    "deep.png": sixteen_bits(lambda pixels: png(pixels, 2)),
    "deep.tif": sixteen_bits(lambda pixels: tiff(pixels, 2)),
    "alpha.png": with_alpha,
    "palette.png": palette("PNG"),
    "palette.gif": palette("GIF"),
    "plain.bmp": lambda image: (saved(image, "BMP"), image),
}


@pytest.fixture(scope="module")
def drawn():
    """(scene, picture) pairs: one to three shapes on a plain ground."""
    made = []
    for number in range(SCENES_A_KIND * len(KINDS)):
        dice = random.Random(2_600_000 + number)
        size = scenes.random_size(dice, 192, 288)
        scene = scenes.random_scene(dice, size, 1 + number % 3, kinds=("plain",))
        made.append((scene, scene.draw().convert("RGB")))
    return made


def write_all(folder, drawn):
    """Two pictures of every kind; name → (scene, true pixels)."""
    folder.mkdir()
    written = {}
    for number, (scene, image) in enumerate(drawn):
        name, make = list(KINDS.items())[number % len(KINDS)]
        data, truth = make(image)
        path = folder / f"{number:02d} {name}"
        path.write_bytes(data)
        written[path.name] = (scene, np.asarray(truth).astype(int))
    return written


def test_twenty_pictures_are_read_as_they_are_meant_and_described(comfy, drawn):
    folder = comfy / "input" / "pics"
    written = write_all(folder, drawn)
    assert len(written) == 20
    for name, (_, truth) in written.items():
        pixels = read_picture(folder / name).pixels.astype(int)
        assert pixels.shape == truth.shape, name
        assert np.abs(pixels - truth).max() <= 2, name
    model = run_node(Qwen3VLLoader, model="Qwen3-VL-Demo", **LOADER)[0]
    greedy = GenerationOptions(temperature=0.0, presence_penalty=0.0, max_new_tokens=40)
    assert captioned(model, options=greedy).endswith("written 20, skipped 0, failed 0")
    wrong = {
        name: text
        for name, (scene, _) in written.items()
        if not caption_exact(text := (folder / name).with_suffix(".txt").read_text(), scene)
    }
    assert wrong == {}


def test_the_samples_are_what_their_names_say():
    """Else twenty plain pictures would pass."""
    flat = Image.fromarray(blocks([[[250, 20, 40], [30, 200, 60]]]))
    data = {name: make(flat)[0] for name, make in KINDS.items()}
    assert data["deep.png"][24] == 16 and data["inks.tif"][:2] in (b"II", b"MM")
    assert b"Exif" in data["turned 8.jpg"] and b"PLTE" in data["palette.png"]
    assert len({bytes(value) for value in data.values()}) == len(KINDS)
