"""Pictures of one to five coloured shapes with exact truth: names, boxes, points, places."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image

from world import backgrounds
from world.nouns import COLOUR_JITTER, COLOURS, MIN_CONTRAST, SHAPES, SIZES
from world.shapes import Box, Point, bounds, outline, paint

MAX_THINGS = 5
_COUNT_WEIGHTS = (0.16, 0.22, 0.24, 0.20, 0.18)
_MAX_COVERED = 0.10  # of the smaller box, by any other box
_MIN_CENTRE_GAP = 0.035  # of the width, so that "left to right" is never a toss-up
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Thing:
    """One drawn object; `points` is its outline in pixels."""

    colour: str
    shape: str
    size: str
    rgb: tuple[int, int, int]
    points: tuple[Point, ...]
    box: Box  # (x1, y1, x2, y2) in pixels

    @property
    def name(self) -> str:
        """Colour and shape."""
        return f"{self.colour} {self.shape}"

    @property
    def full_name(self) -> str:
        """Size, colour and shape."""
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def point(self) -> Point:
        """Middle of the box; for every shape of this world it lies inside the object."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2

    @property
    def area(self) -> float:
        """Pixels of the box."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)


@dataclass(frozen=True, slots=True)
class Frame:
    """A flat border around the ground, as padding leaves it; `room` is what is inside."""

    room: Box
    rgb: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """Things from left to right on a ground; `draw` gives the same pixels every time."""

    size_wh: tuple[int, int]
    ground: str
    ground_colours: tuple[backgrounds.Colour, backgrounds.Colour]
    things: tuple[Thing, ...]
    noise_seed: int
    frame: Frame | None = None

    def draw(self) -> Image.Image:
        """The scene as a picture; small things lie on large ones."""
        rng = random.Random(self.noise_seed)
        picture = backgrounds.draw(self.ground, self.size_wh, self.ground_colours, rng)
        if self.frame:
            inner = picture.crop(self.frame.room)
            picture = Image.new("RGB", self.size_wh, self.frame.rgb)
            picture.paste(inner, self.frame.room[:2])
        for thing in sorted(self.things, key=lambda t: -t.area):
            paint(picture, list(thing.points), thing.rgb)
        return picture

    def place(self, thing: Thing) -> str:
        """Where the thing is, in a three by three grid."""
        x, y = thing.point[0] / self.size_wh[0], thing.point[1] / self.size_wh[1]
        across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
        down = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
        return f"{down} {across}".strip() or "center"


def random_size(
    rng: random.Random, low: int = 160, high: int = 640, step: int = 1
) -> tuple[int, int]:
    """A picture size with sides from `low` to `high` and an aspect from 1:2 to 2:1."""
    side = math.exp(rng.uniform(math.log(low), math.log(high)))
    stretch = math.exp(rng.uniform(-0.5, 0.5) * math.log(2))

    def fit(v):
        return min(high, max(low, round(v / step) * step))

    return fit(side * stretch), fit(side / stretch)


def contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """Euclidean distance in sRGB."""
    return math.dist(a, b)


def random_ground(rng: random.Random, kinds=backgrounds.KINDS) -> tuple[str, tuple]:
    """A ground kind and its two colours."""
    first = backgrounds.random_ground_colour(rng)
    return rng.choice(kinds), (first, backgrounds.near(first, rng, 50))


def visible_colours(ground_colours: tuple) -> list[str]:
    """Colours that stand out from both ground colours."""
    return [
        name
        for name, rgb in COLOURS.items()
        if min(contrast(rgb, g) for g in ground_colours) > MIN_CONTRAST
    ]


def random_frame(rng: random.Random, size_wh: tuple[int, int]) -> Frame:
    """A border on one, two or all sides: black, white, grey or any muted colour."""
    edges = []
    for extent in size_wh:
        before, after = (
            round(extent * rng.uniform(0, 0.3)) if rng.random() < 0.5 else 0 for _ in range(2)
        )
        edges.append((before, extent - after))
    grey = (128, 128, 128)
    rgb = rng.choice(((0, 0, 0), (0, 0, 0), (255, 255, 255), grey))
    if rng.random() < 0.3:
        rgb = backgrounds.random_ground_colour(rng)
    (left, right), (top, bottom) = edges
    return Frame((left, top, right, bottom), rgb)


def random_scene(
    rng: random.Random,
    size_wh: tuple[int, int],
    count: int | None = None,
    kinds=backgrounds.KINDS,
    frame: Frame | None = None,
) -> Scene:
    """A scene of `count` things (or a random number of them; fewer if there is no room)."""
    room = frame.room if frame else (0, 0, *size_wh)
    ground, ground_colours = random_ground(rng, kinds)
    colours = visible_colours(ground_colours)
    wanted = count or rng.choices(range(1, MAX_THINGS + 1), _COUNT_WEIGHTS)[0]
    things: list[Thing] = []
    for _ in range(wanted):
        thing = _place_thing(rng, size_wh, room, _kind(rng, colours, things), things)
        if thing:
            things.append(thing)
    if not things:
        return random_scene(rng, size_wh, count, kinds, frame)
    ordered = tuple(sorted(things, key=lambda t: t.point[0]))
    return Scene(size_wh, ground, ground_colours, ordered, rng.getrandbits(32), frame)


def _kind(rng: random.Random, colours: list[str], things: list[Thing]) -> tuple[str, str, str]:
    """Colour, shape and size; often sharing one of them with an earlier thing."""
    colour, shape, size = rng.choice(colours), rng.choice(SHAPES), rng.choice(list(SIZES))
    if things and rng.random() < 0.25:
        shape = rng.choice(things).shape
    if things and rng.random() < 0.25:
        colour = rng.choice(things).colour
    return colour, shape, size


def jittered(rng: random.Random, colour: str) -> tuple[int, int, int]:
    """The anchor colour, slightly off."""
    return backgrounds.near(COLOURS[colour], rng, COLOUR_JITTER)


def _place_thing(rng, size_wh, room: Box, kind, things) -> Thing | None:
    colour, shape, size = kind
    width, height = size_wh
    left, top, right, bottom = room
    for attempt in range(_TRIES):
        if attempt == _TRIES // 2:
            size = "small"
        side = rng.uniform(*SIZES[size]) * min(width, height)
        degrees = rng.uniform(-10, 10)
        half = side * 0.62
        center = (rng.uniform(left + half, right - half), rng.uniform(top + half, bottom - half))
        points = outline(shape, center, side, degrees)
        thing = Thing(colour, shape, size, jittered(rng, colour), tuple(points), bounds(points))
        if within(thing.box, room) and all(_apart(thing, t, width) for t in things):
            return thing
    return None


def within(box: Box, room: Box, margin: float = 1.5) -> bool:
    """Whether a box lies in another, `margin` pixels from its edges."""
    return (
        box[0] >= room[0] + margin
        and box[1] >= room[1] + margin
        and box[2] <= room[2] - margin
        and box[3] <= room[3] - margin
    )


def inside(box: Box, size_wh: tuple[int, int]) -> bool:
    """Whether a box lies in the picture."""
    return within(box, (0, 0, *size_wh))


def overlap(a: Box, b: Box) -> float:
    """Shared area of two boxes."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    shared = overlap(a, b)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def _apart(a: Thing, b: Thing, width: int) -> bool:
    if abs(a.point[0] - b.point[0]) < _MIN_CENTRE_GAP * width:
        return False
    shared = overlap(a.box, b.box)
    if shared <= 0:
        return True
    return shared <= _MAX_COVERED * min(a.area, b.area) and contrast(a.rgb, b.rgb) > MIN_CONTRAST


def listing(names: list[str]) -> str:
    """As in "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]
