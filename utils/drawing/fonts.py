r"""A font for any label: Pillow's own for Latin, one of the system's for everything else.

Pillow looks through the system's font folders by file name. Where no font has a character, it
is written as its code (`\u732b`), so that labels stay distinct instead of turning into boxes.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    "NotoEmoji-Regular.ttf",
    "seguiemj.ttf",
    "Symbola.ttf",
    "segoeui.ttf",
    "arial.ttf",
)
# Marks that belong to the character before them.
JOINED = ("Mn", "Me", "Cf")
# In no font: what a font draws for it is its sign for "I do not have this".
_NO_CHARACTER = "\U0010fffe"


@dataclass(frozen=True, slots=True)
class _Run:
    """Characters that one font writes, where they begin, and what of them is there."""

    font: Any  # Pillow's two kinds of fonts share no type
    text: str
    x: float = 0
    y: float = 0
    anchor: dict[str, str] = field(default_factory=dict)


class LabelFont:
    """Fonts of one size. A text is written in one of them where one has all of it, else each run
    of characters in the first that has them, all on one line.
    """

    def __init__(self, size: int, fonts: list[FreeTypeFont | ImageFont]):
        self.size = size
        self._fonts = fonts

    def showable(self, text: str) -> str:
        """The text with every character that no font has replaced by its code."""
        return "".join(
            char
            if any(_has(font, char) for font in self._fonts)
            else char.encode("ascii", "backslashreplace").decode()
            for char in text
        )

    def bounds(self, text: str) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the text in pixels when it is written at 0, 0."""
        edges = []
        for run in self._placed(text):
            left, top, right, bottom = run.font.getbbox(run.text, **run.anchor)
            edges.append((run.x + left, run.y + top, run.x + right, run.y + bottom))
        left, top, right, bottom = zip(*edges, strict=True)
        return round(min(left)), round(min(top)), round(max(right)), round(max(bottom))

    def write(
        self, draw: ImageDraw, xy: tuple[int, int], text: str, ink: tuple[int, int, int]
    ) -> None:
        """Write the text with its upper left corner at `xy`."""
        for run in self._placed(text):
            place = (xy[0] + run.x, xy[1] + run.y)
            draw.text(place, run.text, fill=ink, font=run.font, **run.anchor)

    def _placed(self, text: str) -> list[_Run]:
        """The runs of a text, each where it begins: several of them stand on one line."""
        runs = self._runs(text)
        if len(runs) == 1:
            return [_Run(*runs[0])]
        line = max(font.getmetrics()[0] for font, _ in runs)  # type: ignore[union-attr]
        placed, x = [], 0.0
        for font, run in runs:
            placed.append(_Run(font, run, x, line, {"anchor": "ls"}))
            x += font.getlength(run)
        return placed

    def _runs(self, text: str) -> list[tuple[FreeTypeFont | ImageFont, str]]:
        best = self._best(text)
        runs: list[tuple[FreeTypeFont | ImageFont, str]] = []
        for char in text:
            font = best if _has(best, char) else self._first(char, best)
            if runs and (unicodedata.category(char) in JOINED or font is runs[-1][0]):
                runs[-1] = (runs[-1][0], runs[-1][1] + char)
            else:
                runs.append((font, char))
        return runs or [(best, text)]

    def _first(self, char: str, other: FreeTypeFont | ImageFont) -> FreeTypeFont | ImageFont:
        return next((font for font in self._fonts if _has(font, char)), other)

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
