"""Plain, gradient and noisy grounds, and two kinds that training never shows."""

from __future__ import annotations

import colorsys
import functools
import random

import numpy as np
from PIL import Image, ImageChops

Colour = tuple[int, int, int]
KINDS = ("plain", "gradient", "noisy")
UNSEEN_KINDS = ("striped", "blotchy")
_BANK = 1280  # side of the noise tile from which each picture takes a random window
_GRAINS = (1, 1, 3, 6, 10)  # pixels of a grain of noise that training shows
_BLOTCH = 24


def random_ground_colour(rng: random.Random) -> Colour:
    """A muted colour: low saturation, any brightness."""
    hue, saturation = rng.random(), rng.random() * 0.22
    value = rng.choice((rng.uniform(0.72, 1.0), rng.uniform(0.72, 1.0), rng.uniform(0.12, 0.6)))
    red, green, blue = (round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue


def near(colour: Colour, rng: random.Random, reach: int) -> Colour:
    """A colour at most `reach` away in each channel."""
    red, green, blue = (max(0, min(255, c + rng.randint(-reach, reach))) for c in colour)
    return red, green, blue


@functools.lru_cache(maxsize=4)
def _noise_bank(grain: int) -> Image.Image:
    side = _BANK // grain
    noise = np.random.default_rng(7).normal(128, 40, (side, side, 3)).clip(0, 255)
    return Image.fromarray(noise.astype(np.uint8)).resize((_BANK, _BANK), Image.BICUBIC)


def add_noise(
    picture: Image.Image, rng: random.Random, strength: float, grain: int = 1
) -> Image.Image:
    """The picture with zero-mean noise; strength 1.0 is a standard deviation of 40 levels."""
    bank = _noise_bank(grain)
    x, y = rng.randint(0, _BANK - picture.width), rng.randint(0, _BANK - picture.height)
    window = bank.crop((x, y, x + picture.width, y + picture.height))
    grey = Image.new("RGB", picture.size, (128, 128, 128))
    return ImageChops.add(picture, Image.blend(grey, window, strength), 1, -128)


def draw(
    kind: str, size_wh: tuple[int, int], colours: tuple[Colour, Colour], rng: random.Random
) -> Image.Image:
    """A ground of the given kind between two colours."""
    first, second = colours
    if kind == "gradient":
        return (_waves if rng.random() < 0.3 else _gradient)(size_wh, first, second, rng)
    picture = Image.new("RGB", size_wh, first)
    if kind == "noisy":
        return add_noise(picture, rng, rng.uniform(0.25, 0.6), rng.choice(_GRAINS))
    if kind == "striped":
        return _striped(picture, second, rng.randint(12, 40))
    if kind == "blotchy":
        return add_noise(picture, rng, 0.4, _BLOTCH)
    return picture


def _gradient(
    size_wh: tuple[int, int], first: Colour, second: Colour, rng: random.Random
) -> Image.Image:
    mixed = tuple((a + b) // 2 for a, b in zip(first, second, strict=False))
    corners = rng.choice(
        (
            [first, second, first, second],
            [first, first, second, second],
            [first, mixed, mixed, second],
            [mixed, first, second, mixed],
        )
    )
    seed = Image.new("RGB", (2, 2))
    for k, colour in enumerate(corners):
        seed.putpixel((k % 2, k // 2), colour)
    return seed.resize(size_wh, Image.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))


def _waves(
    size_wh: tuple[int, int], first: Colour, second: Colour, rng: random.Random
) -> Image.Image:
    """A gradient to and fro, across or down the picture."""
    across = rng.random() < 0.5
    phase = np.linspace(0, rng.randint(1, 10) * np.pi, size_wh[0] if across else size_wh[1])
    share = (0.5 + 0.5 * np.cos(phase))[:, None]
    line = (share * first + (1 - share) * second).round().astype(np.uint8)
    return Image.fromarray(line[None] if across else line[:, None]).resize(size_wh, Image.NEAREST)


def _striped(picture: Image.Image, colour: Colour, pitch: int) -> Image.Image:
    for x in range(0, picture.width, 2 * pitch):
        picture.paste(colour, (x, 0, min(x + pitch, picture.width), picture.height))
    return picture
