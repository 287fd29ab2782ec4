"""Short clips in which shapes come, move and go at known times."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from world import backgrounds
from world.nouns import article
from world.scenes import Scene, Thing, random_scene
from world.shapes import Box, paint

SOURCE_FPS = 8
SAMPLE_FPS = 2
_STEP = 0.5  # all event times are multiples of this many seconds


@dataclass(frozen=True, slots=True)
class Event:
    """What one thing does from `start` to `end`, in seconds."""

    start: float
    end: float
    thing: Thing
    drift: tuple[float, float] = (0.0, 0.0)  # pixels from start to end; zero for a still thing

    def box_at(self, time: float) -> Box:
        """Where the thing is at a time of the event, in pixels."""
        share = (time - self.start) / (self.end - self.start)
        dx, dy = self.drift[0] * share, self.drift[1] * share
        x1, y1, x2, y2 = self.thing.box
        return x1 + dx, y1 + dy, x2 + dx, y2 + dy

    @property
    def description(self) -> str:
        """The event as a sentence."""
        return f"{article(self.thing.name).capitalize()} {self.doing}."

    @property
    def doing(self) -> str:
        """What the thing does, as a verb phrase."""
        if not any(self.drift):
            return "is visible"
        return "moves to the right" if self.drift[0] > 0 else "moves to the left"


@dataclass(frozen=True, slots=True)
class Clip:
    """Events in order of their start on a ground; `seconds` long."""

    size_wh: tuple[int, int]
    seconds: float
    scene: Scene
    events: tuple[Event, ...]

    @property
    def total_frames(self) -> int:
        """Frames of the source."""
        return round(self.seconds * SOURCE_FPS)

    def frame(self, index: int) -> Image.Image:
        """Source frame number `index`, shown at index / SOURCE_FPS seconds."""
        time = index / SOURCE_FPS
        rng = random.Random(self.scene.noise_seed)
        picture = backgrounds.draw(self.scene.ground, self.size_wh, self.scene.ground_colours, rng)
        for event in self.events:
            if event.start <= time < event.end:
                share = (time - event.start) / (event.end - event.start)
                dx, dy = event.drift[0] * share, event.drift[1] * share
                paint(picture, [(x + dx, y + dy) for x, y in event.thing.points], event.thing.rgb)
        return picture

    def visible(self, time: float) -> tuple[Event, ...]:
        """Events going on at a time, from left to right."""
        going = [e for e in self.events if e.start <= time < e.end]
        return tuple(sorted(going, key=lambda e: e.thing.point[0]))


def random_clip(rng: random.Random, size_wh: tuple[int, int], seconds: float | None = None) -> Clip:
    """A clip of 4 to 10 seconds with one to three events of different times."""
    seconds = seconds or rng.randint(8, 20) * _STEP
    scene = random_scene(rng, size_wh, rng.randint(1, 3))
    steps = int(seconds / _STEP)
    events, spans = [], set()
    for thing in {t.name: t for t in scene.things}.values():
        for _ in range(20):
            start = rng.choice((0, rng.randint(0, steps - 3)))
            end = rng.choice((steps, rng.randint(start + 2, steps)))
            if end - start >= 2 and (start, end) not in spans:
                spans.add((start, end))
                drift = _drift(rng, thing, size_wh) if rng.random() < 0.4 else (0.0, 0.0)
                events.append(Event(start * _STEP, end * _STEP, thing, drift))
                break
    events.sort(key=lambda e: (e.start, e.end))
    return Clip(size_wh, seconds, scene, tuple(events))


def _drift(rng: random.Random, thing: Thing, size_wh: tuple[int, int]) -> tuple[float, float]:
    """A move of at least a quarter of the width towards the side with more room."""
    x1, _, x2, _ = thing.box
    room_left, room_right = x1 - 2, size_wh[0] - 2 - x2
    room = max(room_left, room_right)
    if room < 0.25 * size_wh[0]:
        return 0.0, 0.0
    way = rng.uniform(0.25 * size_wh[0], room)
    return (way if room_right >= room_left else -way), 0.0


def sample_indices(total_frames: int, even: bool) -> list[int]:
    """Source frames at SAMPLE_FPS: evenly from first to last, or every so many; an even number."""
    count = max(4, round(total_frames / SOURCE_FPS * SAMPLE_FPS))
    count += count % 2
    if even:
        return [round(k * (total_frames - 1) / (count - 1)) for k in range(count)]
    step = SOURCE_FPS // SAMPLE_FPS
    return [min(k * step, total_frames - 1) for k in range(count)]
