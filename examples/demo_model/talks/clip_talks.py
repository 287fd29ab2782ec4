"""Chats about one clip: events, a given second, a caption, and grounding per frame pair."""

from __future__ import annotations

import random

from world.clips import SOURCE_FPS, Clip

from talks import answers
from talks import wordings as say
from talks.lesson import Talk, one
from talks.phrasing import ask


def pair_times(indices: list[int]) -> tuple[float, ...]:
    """The time the processor writes before each pair of frames, in seconds."""
    seconds = [i / SOURCE_FPS for i in indices]
    return tuple((a + b) / 2 for a, b in zip(seconds[::2], seconds[1::2], strict=False))


def talks(rng: random.Random, clip: Clip, indices: list[int]) -> list[Talk]:
    """Events always, the other tasks in turn."""
    result = [
        one("events", ask(rng, say.EVENTS, preset_id="video_events"), answers.events(clip)),
        at_second(rng, clip),
        at_second(rng, clip),
    ]
    if rng.random() < 0.5:
        result.append(
            one(
                "video_caption",
                ask(rng, say.VIDEO, preset_id="video_describe"),
                answers.video_caption(clip),
            )
        )
    if rng.random() < 0.3:
        result.append(grounding(rng, clip, indices))
    return result


def at_second(rng: random.Random, clip: Clip) -> Talk:
    """What is seen at a second, at least a quarter second from any change."""
    edges = [e for event in clip.events for e in (event.start, event.end)]
    for _ in range(30):
        time = rng.choice(
            (
                rng.randint(0, int(clip.seconds)),
                rng.randint(1, int(clip.seconds * 2) - 1) / 2 + 0.25,
            )
        )
        if time < clip.seconds and all(abs(time - edge) > 0.2 or edge == 0 for edge in edges):
            break
    else:
        time = 0
    shown = f"{time:g}" if time == int(time) else f"{time:.2f}".rstrip("0")
    return one(
        "at_second",
        ask(rng, say.AT_SECOND, shown, preset_id="video_second"),
        answers.at_second(clip, time),
    )


def grounding(rng: random.Random, clip: Clip, indices: list[int]) -> Talk:
    """The box of one thing in each pair of frames that shows it in both."""
    event = rng.choice(clip.events)
    items = []
    for first, second, time in zip(indices[::2], indices[1::2], pair_times(indices), strict=False):
        if not (event.start <= first / SOURCE_FPS and second / SOURCE_FPS < event.end):
            continue
        items.append(
            {
                "time": float(f"{time:.1f}"),
                "bbox_2d": answers.scaled_box(event.box_at(time), clip.size_wh),
                "label": event.thing.name,
            }
        )
    question = ask(rng, say.GROUNDING, event.thing.name, preset_id="video_grounding")
    return one("grounding", question, answers.fenced_items(items))
