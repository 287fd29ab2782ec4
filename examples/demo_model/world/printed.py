"""Pictures of printed lines: free words and numbers, key-value cards, and windows with buttons."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from world import backgrounds
from world.letters import ink, random_cut, rough_width
from world.nouns import BUTTONS, COLOURS, random_cased_word, random_number, random_word
from world.scenes import contrast, inside, overlap, random_ground
from world.shapes import Box


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line; `corner` is the top left pixel of its ink, `box` the ink's exact box."""

    text: str
    height: int
    cut: str
    rgb: tuple[int, int, int]
    corner: tuple[int, int]
    box: Box


@dataclass(frozen=True, slots=True)
class Print:
    """Lines from top to bottom on a ground; plates are filled boxes under the lines (buttons)."""

    size_wh: tuple[int, int]
    ground: str
    ground_colours: tuple
    lines: tuple[Line, ...]
    noise_seed: int
    fields: tuple[tuple[str, str], ...] = ()  # key-value cards: (key, value) in order
    plates: tuple[tuple[Box, tuple[int, int, int]], ...] = ()

    def draw(self) -> Image.Image:
        """The print as a picture."""
        rng = random.Random(self.noise_seed)
        picture = backgrounds.draw(self.ground, self.size_wh, self.ground_colours, rng)
        pen = ImageDraw.Draw(picture)
        for box, rgb in self.plates:
            pen.rounded_rectangle(
                box,
                radius=min(8, (box[3] - box[1]) // 4),
                fill=rgb,
                outline=tuple(c // 2 for c in rgb),
            )
        for line in self.lines:
            print_line(picture, line)
        return picture


def print_line(picture: Image.Image, line: Line) -> None:
    """Put one line's ink on the picture."""
    mask = ink(line.text, line.height, line.cut)
    picture.paste(
        line.rgb, (*line.corner, line.corner[0] + mask.width, line.corner[1] + mask.height), mask
    )


def ink_colour(rng: random.Random, grounds: tuple) -> tuple[int, int, int]:
    """A text colour that reads well on all the given ground colours."""
    pool = [c for c in COLOURS.values() if min(contrast(c, g) for g in grounds) > 150]
    plain = [c for c in (COLOURS["black"], COLOURS["white"]) if c in pool]
    if plain and rng.random() < 0.5:
        return rng.choice(plain)
    return rng.choice(
        pool or [max(((0, 0, 0), (255, 255, 255)), key=lambda c: contrast(c, grounds[0]))]
    )


def set_line(text: str, height: int, cut: str, rgb, corner: tuple[int, int]) -> Line:
    """A line at a place, with its ink box measured."""
    mask = ink(text, height, cut)
    x, y = corner
    return Line(text, height, cut, rgb, corner, (x, y, x + mask.width, y + mask.height))


def random_line_text(rng: random.Random) -> str:
    """One to three words or numbers."""
    pieces = [
        random_number(rng) if rng.random() < 0.3 else random_cased_word(rng)
        for _ in range(rng.choices((1, 2, 3), (0.5, 0.35, 0.15))[0])
    ]
    return " ".join(pieces)


def type_height(rng: random.Random, size_wh: tuple[int, int], most: float = 0.16) -> int:
    """A type size in pixels: never under 19, up to a share of the shorter side."""
    top = max(24.0, min(72.0, most * min(size_wh)))
    return round(19 + (top - 19) * rng.random() ** 1.3)


def random_print(rng: random.Random, size_wh: tuple[int, int], count: int | None = None) -> Print:
    """One to five free lines, none above another by less than a gap."""
    ground, colours = random_ground(rng)
    wanted = count or rng.choices((1, 2, 3, 4, 5), (0.3, 0.27, 0.2, 0.13, 0.1))[0]
    lines: list[Line] = []
    y = 4 + rng.randint(0, max(1, size_wh[1] // 5))
    for _ in range(wanted):
        line = _fit_line(rng, size_wh, y, colours)
        if line is None:
            break
        lines.append(line)
        y = int(line.box[3]) + rng.randint(6, max(8, size_wh[1] // 6))
    if not lines:
        return random_print(rng, size_wh, count)
    return Print(size_wh, ground, colours, tuple(lines), rng.getrandbits(32))


def _fit_line(rng: random.Random, size_wh, y: int, grounds) -> Line | None:
    for _ in range(12):
        text, height, cut = random_line_text(rng), type_height(rng, size_wh), random_cut(rng)
        if rough_width(text, height, cut) > size_wh[0] or y + 0.6 * height > size_wh[1]:
            continue
        line = set_line(text, height, cut, ink_colour(rng, grounds), (0, y))
        room = size_wh[0] - line.box[2] - 8
        if room >= 0 and line.box[3] < size_wh[1] - 3:
            return set_line(
                line.text, line.height, line.cut, line.rgb, (4 + rng.randint(0, int(room)), y)
            )
    return None


FIELDS = ("company", "name", "date", "total", "city", "phone", "item", "price", "number", "time")


def field_value(rng: random.Random, key: str) -> str:
    """A plausible printed value for a key."""

    def title():
        return random_word(rng).capitalize()

    if key in ("company", "name"):
        return f"{title()} {title()}"
    if key == "date":
        return f"{rng.randint(2001, 2029)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    if key in ("total", "price"):
        return f"{rng.randint(1, 999)}.{rng.randint(0, 99):02d}"
    if key == "phone":
        return f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"
    if key == "number":
        return str(rng.randint(1, 99999))
    if key == "time":
        return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    return title()


def random_card(rng: random.Random, size_wh: tuple[int, int]) -> Print:
    """A card of two to five "Key: value" lines."""
    ground, colours = random_ground(rng, ("plain", "plain", "gradient"))
    keys = rng.sample(FIELDS, rng.randint(2, 5))
    height, cut, rgb = type_height(rng, size_wh, 0.09), random_cut(rng), ink_colour(rng, colours)
    lines, fields, y = [], [], 4 + rng.randint(0, size_wh[1] // 8)
    left, gap = 6 + rng.randint(0, size_wh[0] // 10), rng.randint(7, 18)
    for key in keys:
        value = field_value(rng, key)
        line = set_line(f"{key.capitalize()}: {value}", height, cut, rgb, (left, y))
        if line.box[2] > size_wh[0] - 4 or line.box[3] > size_wh[1] - 4:
            continue
        lines.append(line)
        fields.append((key, value))
        y = int(line.box[3]) + gap
    if not lines:
        return random_card(rng, size_wh)
    return Print(size_wh, ground, colours, tuple(lines), rng.getrandbits(32), fields=tuple(fields))


def random_window(rng: random.Random, size_wh: tuple[int, int]) -> Print:
    """A window with two to five buttons; `lines[k].text` is the name on `plates[k]`."""
    ground, colours = random_ground(rng, ("plain", "gradient"))
    lines, plates = [], []
    names = rng.sample(BUTTONS, rng.randint(2, 5))
    for name in names:
        height, cut = rng.randint(19, 28), random_cut(rng)
        rgb = backgrounds.near(rng.choice(list(COLOURS.values())), rng, 20)
        mask = ink(name, height, cut)
        pad_x, pad_y = rng.randint(8, 22), rng.randint(6, 12)
        width, tall = mask.width + 2 * pad_x, mask.height + 2 * pad_y
        for _ in range(30):
            x = rng.randint(2, max(2, size_wh[0] - width - 3))
            y = rng.randint(2, max(2, size_wh[1] - tall - 3))
            box = (x, y, x + width, y + tall)
            grown = (x - 4, y - 4, x + width + 4, y + tall + 4)
            if inside(box, size_wh) and not any(overlap(grown, p[0]) for p in plates):
                plates.append((box, rgb))
                lines.append(
                    set_line(name, height, cut, ink_colour(rng, (rgb,)), (x + pad_x, y + pad_y))
                )
                break
    if not lines:
        return random_window(rng, size_wh)
    order = sorted(range(len(lines)), key=lambda k: lines[k].box[1])
    return Print(
        size_wh,
        ground,
        colours,
        tuple(lines[k] for k in order),
        rng.getrandbits(32),
        plates=tuple(plates[k] for k in order),
    )
