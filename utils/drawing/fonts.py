r"""A font for any label: Pillow's own for Latin, one of the system's for everything else.

Pillow looks through the system's font folders by file name. Where no font has a character, it
is written as its code (`\u732b`), so that labels stay distinct instead of turning into boxes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

# Chinese, Japanese and Korean first: Linux, Windows, macOS, Android; then other scripts.
WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "NotoSansSC-Regular.ttf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "simsun.ttc",
    "malgun.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Medium.ttc",
    "Arial Unicode.ttf",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "DejaVuSans.ttf",
    "segoeui.ttf",
    "arial.ttf",
)
# In no font: what a font draws for it is its sign for "I do not have this".
_NO_CHARACTER = "\U0010fffe"


class LabelFont:
    """Fonts of one size, tried in turn for each text."""

    def __init__(self, size: int, fonts: list[FreeTypeFont | ImageFont]):
        self.size = size
        self._fonts = fonts

    def showable(self, text: str) -> str:
        """The text with every character that no font has replaced by its code."""
        font = self._best(text)
        return "".join(
            char if _has(font, char) else char.encode("ascii", "backslashreplace").decode()
            for char in text
        )

    def bounds(self, text: str) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the text in pixels when it is written at 0, 0."""
        left, top, right, bottom = self._best(text).getbbox(text)
        return round(left), round(top), round(right), round(bottom)

    def write(
        self, draw: ImageDraw, xy: tuple[int, int], text: str, ink: tuple[int, int, int]
    ) -> None:
        """Write the text with its upper left corner at `xy`."""
        draw.text(xy, text, fill=ink, font=self._best(text))

    def _best(self, text: str) -> FreeTypeFont | ImageFont:
        """The first font that has every character, else the one that has most."""
        return max(self._fonts, key=lambda font: sum(_has(font, char) for char in set(text)))


@functools.lru_cache(maxsize=32)
def label_font(size: int) -> LabelFont:
    """Fonts for letters of `size` pixels; found once."""
    from PIL import ImageFont

    fonts: list[FreeTypeFont | ImageFont] = [ImageFont.load_default(size)]
    for name in WIDE_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, size))
        except OSError:  # not on this machine
            continue
    return LabelFont(size, fonts)


@functools.lru_cache(maxsize=8192)
def _has(font: FreeTypeFont | ImageFont, char: str) -> bool:
    if char.isspace():
        return True
    try:
        return _drawn(font, char) != _drawn(font, _NO_CHARACTER)
    except (UnicodeEncodeError, ValueError):  # Pillow built without FreeType: Latin only
        return char.isascii()


def _drawn(font: FreeTypeFont | ImageFont, char: str) -> bytes:
    """The pixels of a character, to compare it with another."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (96, 96))
    ImageDraw.Draw(image).text((16, 16), char, fill=255, font=font)
    return image.tobytes()
