"""Draws the pack's icon and banner for the registry: python examples/scripts/draw_icon.py."""

import math

from hosting import ROOT
from PIL import Image, ImageDraw, ImageFont

GROUND, LINE = (38, 33, 58), (120, 235, 160)
STAR, SQUARE = (255, 205, 70), (120, 110, 245)


def star(middle: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    """Ten corners."""
    return [
        (
            middle[0] + radius * (1, 0.42)[k % 2] * math.sin(math.pi * k / 5),
            middle[1] - radius * (1, 0.42)[k % 2] * math.cos(math.pi * k / 5),
        )
        for k in range(10)
    ]


def boxed(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], label: str, size: int) -> None:
    """A box with its label, as Detect draws them."""
    font = ImageFont.load_default(size)
    draw.rectangle(box, outline=LINE, width=size // 6)
    tag = (box[0], box[1] - size - 8, box[0] + draw.textlength(label, font) + 12, box[1])
    draw.rectangle(tag, fill=LINE)
    draw.text((tag[0] + 6, tag[1] + 1), label, GROUND, font)


def icon() -> Image.Image:
    """A star and a square that were found, 400 x 400."""
    made = Image.new("RGB", (800, 800), GROUND)
    draw = ImageDraw.Draw(made)
    draw.rounded_rectangle((400, 430, 690, 720), 24, fill=SQUARE)
    draw.polygon(star((290, 290), 190), fill=STAR)
    boxed(draw, (90, 90, 490, 470), "star", 48)
    return made.resize((400, 400), Image.Resampling.LANCZOS)


def banner() -> Image.Image:
    """21 : 9, with what the pack does in words."""
    made = Image.new("RGB", (1260, 540), GROUND)
    draw = ImageDraw.Draw(made)
    draw.text((70, 130), "Qwen3-VL", (245, 245, 250), ImageFont.load_default(96))
    draw.text((74, 256), "captions, boxes, text and video", LINE, ImageFont.load_default(36))
    draw.text(
        (74, 310), "for ComfyUI, on your own machine", (190, 188, 210), ImageFont.load_default(36)
    )
    draw.rounded_rectangle((1000, 280, 1170, 450), 14, fill=SQUARE)
    draw.polygon(star((900, 210), 110), fill=STAR)
    boxed(draw, (785, 95, 1015, 315), "star", 26)
    boxed(draw, (985, 265, 1185, 465), "square", 26)
    return made


if __name__ == "__main__":
    icon().save(ROOT / "assets" / "icon.png", optimize=True)
    banner().save(ROOT / "assets" / "banner.png", optimize=True)
