"""From a seed to a lesson: draws a scene of one family and holds chats about it."""

# ruff: noqa: E501 (prompts are quoted whole)
from __future__ import annotations

import random
from dataclasses import replace

from PIL import Image
from world import cells
from world.clips import random_clip, sample_indices
from world.nouns import article
from world.pages import Page, random_page
from world.printed import Line, Print, random_card, random_print, random_window
from world.scenes import Scene, random_frame, random_scene

from talks import answers, blank_talks, clip_talks, print_talks
from talks import wordings as say
from talks.lesson import Lesson, Talk, Visual, one
from talks.phrasing import ask, vary
from talks.shape_talks import TALKS
from talks.tools import signature

TALKS_A_PICTURE = 6


def tools_text(signatures: str) -> str:
    """What the chat template writes into the system turn for tools, one JSON signature a line."""
    return (
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided "
        f"with function signatures within <tools></tools> XML tags:\n<tools>\n{signatures}\n</tools>\n\nFor "
        "each function call, return a json object with function name and arguments within "
        '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": '
        "<args-json-object>}\n</tool_call>"
    )


def fitted(picture: Image.Image, grid_wh: tuple[int, int]) -> Image.Image:
    """The picture as the processor resizes it to a multiple of 32."""
    return picture if picture.size == grid_wh else picture.resize(grid_wh, Image.BICUBIC)


def near_size(
    rng: random.Random, grid_wh: tuple[int, int], shrink: float = 0.0, least: float = 0.68
) -> tuple[int, int]:
    """A picture size that the processor rounds to this grid.

    With chance `shrink` one down to `least` of it, drawn small and enlarged since.
    """
    if rng.random() < shrink:
        scale = rng.uniform(least, 0.95)
        return round(grid_wh[0] * scale), round(grid_wh[1] * scale)
    if rng.random() < 0.6:
        return grid_wh
    return grid_wh[0] + rng.randint(-15, 15), grid_wh[1] + rng.randint(-15, 15)


def _picture(scene: Scene | Print | Page, grid_wh: tuple[int, int]) -> Visual:
    if isinstance(scene, Scene):
        truth = cells.of_things([(t, t.box) for t in scene.things], scene.size_wh, grid_wh)
    else:
        truth = cells.of_lines(_lines(scene), scene.size_wh, grid_wh)
    return Visual((fitted(scene.draw(), grid_wh),), cells=(truth,))


def _lines(scene: Print | Page) -> list[Line]:
    return (
        list(scene.lines)
        if isinstance(scene, Print)
        else [line for b in scene.blocks for line in b.lines]
    )


def _system(rng: random.Random) -> str | None:
    return rng.choice(say.SYSTEMS) if rng.random() < 0.2 else None


def shapes(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """One picture of shapes with several tasks."""
    least = min(0.9, max(0.2, 140 / min(grid_wh)))
    size = near_size(rng, grid_wh, shrink=0.3, least=least)
    frame = random_frame(rng, size) if rng.random() < 0.4 else None
    scene = random_scene(rng, size, frame=frame)
    if rng.random() < 0.02:
        blank = replace(scene, things=())
        return Lesson((_picture(blank, grid_wh),), blank_talks.talks(rng), _system(rng))
    makers, weights = zip(*TALKS, strict=False)
    talks = tuple(make(rng, scene) for make in rng.choices(makers, weights, k=TALKS_A_PICTURE))
    lesson = Lesson((_picture(scene, grid_wh),), talks, _system(rng))
    return asked_first(lesson) if rng.random() < 0.06 else lesson


def asked_first(lesson: Lesson) -> Lesson:
    """The lesson's first talk alone, with its question before the picture."""
    (question, answer), *more = lesson.talks[0].turns
    talk = Talk(lesson.talks[0].task, (("", answer), *more))
    return replace(lesson, talks=(talk,), lead=question)


def printed(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """Free lines of text, or now and then the buttons of a window."""
    draw = random_window if rng.random() < 0.12 else random_print
    picture = draw(rng, near_size(rng, grid_wh))
    return Lesson(
        (_picture(picture, grid_wh),), tuple(print_talks.reading(rng, picture)), _system(rng)
    )


def cards(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """A card of key-value lines."""
    picture = random_card(rng, near_size(rng, grid_wh))
    return Lesson(
        (_picture(picture, grid_wh),), tuple(print_talks.card(rng, picture)), _system(rng)
    )


def pages(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """A document page; a third of them are enlarged as small scans are."""
    picture = random_page(rng, near_size(rng, grid_wh, shrink=0.35))
    return Lesson((_picture(picture, grid_wh),), tuple(print_talks.page(rng, picture)))


def clips(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """A clip sampled at two frames a second."""
    clip = random_clip(rng, near_size(rng, grid_wh))
    indices = sample_indices(clip.total_frames, even=rng.random() < 0.6)
    frames = tuple(fitted(clip.frame(i), grid_wh) for i in indices)
    times = clip_talks.pair_times(indices)
    truth = tuple(
        cells.of_things([(e.thing, e.box_at(t)) for e in clip.visible(t)], clip.size_wh, grid_wh)
        for t in times
    )
    visual = Visual(frames, times, truth, wrapped=rng.random() < 0.5)
    return Lesson((visual,), tuple(clip_talks.talks(rng, clip, indices)), _system(rng))


def several(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """Two to four pictures, with or without "Picture 1: " before each."""
    scenes = [
        random_scene(rng, near_size(rng, grid_wh), rng.randint(1, 3))
        for _ in range(rng.choices((2, 3, 4), (0.7, 0.2, 0.1))[0])
    ]
    talks = [
        _which_picture(rng, scenes),
        _which_picture(rng, scenes),
        _about_all(rng, scenes),
        _about_all(rng, scenes),
    ]
    visuals = tuple(_picture(scene, grid_wh) for scene in scenes)
    return Lesson(visuals, tuple(talks), _system(rng), numbered=rng.random() < 0.6)


def _which_picture(rng: random.Random, scenes: list[Scene]) -> Talk:
    for _ in range(20):
        k = rng.randrange(len(scenes))
        thing = rng.choice(scenes[k].things)
        noun = rng.choice((thing.name, thing.name, thing.shape))
        holders = [
            i for i, s in enumerate(scenes) if any(noun in (t.name, t.shape) for t in s.things)
        ]
        if holders == [k]:
            return one(
                "which_picture", ask(rng, say.WHICH_PICTURE, article(noun)), f"Picture {k + 1}."
            )
    return _about_all(rng, scenes)


def _about_all(rng: random.Random, scenes: list[Scene]) -> Talk:
    kind = rng.random()
    counts = [len(s.things) for s in scenes]
    if kind < 0.25:
        return one(
            "how_many_pictures",
            ask(rng, say.HOW_MANY_PICTURES),
            f"There are {len(scenes)} pictures.",
        )
    if kind < 0.4 and counts.count(max(counts)) == 1:
        return one(
            "which_picture",
            ask(rng, say.MORE_OBJECTS),
            f"Picture {counts.index(max(counts)) + 1}.",
        )
    if kind < 0.7:
        k = rng.randrange(len(scenes))
        return one(
            "one_picture",
            ask(rng, say.ONE_PICTURE, str(k + 1)),
            answers.caption(scenes[k].things),
        )
    text = "\n".join(f"Picture {k + 1}: {answers.caption(s.things)}" for k, s in enumerate(scenes))
    return one("each_picture", ask(rng, say.EACH_PICTURE), text)


def agent(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """A screenshot and a tool; the answer is one click."""
    mobile = rng.random() < 0.25
    tool, action = ("mobile_use", "click") if mobile else ("computer_use", "left_click")
    size = near_size(rng, grid_wh)
    if rng.random() < 0.55:
        screen = random_scene(rng, size)
        names = [t.name for t in screen.things]
        targets = [(t.name, t.point, say.CLICK) for t in screen.things if names.count(t.name) == 1]
        targets = targets or [(names[0], screen.things[0].point, say.CLICK)]
    else:
        screen = random_window(rng, size)
        targets = [
            (line.text, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), say.CLICK_BUTTON)
            for line, (box, _) in zip(screen.lines, screen.plates, strict=False)
        ]
    talks = [
        one("click", ask(rng, words, name), answers.click(point, size, tool, action))
        for name, point, words in rng.choices(targets, k=3)
    ]
    lesson = Lesson(
        (_picture(screen, grid_wh),),
        tuple(talks),
        rng.choice((None, None, *say.SYSTEMS[:2])),
        tools=(signature(rng, mobile),),
    )
    return asked_first(lesson) if rng.random() < 0.3 else lesson


def words_only(rng: random.Random, grid_wh: tuple[int, int]) -> Lesson:
    """No picture: the model says so instead of inventing one."""
    hello = ("Hello", "Hi", "Hello!", "Hi there", "Good morning", "Hey")
    asked = (*say.SHORT[:6], *say.DETAILED[:3], *say.COUNT_ALL, *say.READ[:4])
    talks = [
        one("no_picture", rng.choice(hello), "Hello! Show me a picture."),
        one("no_picture", vary(rng, rng.choice(asked)), "There is no picture."),
        one(
            "no_picture",
            rng.choice(("What can you do?", "Who are you?", "Help")),
            "I am a small demo model. I can describe pictures of colored shapes and read printed words.",
        ),
    ]
    return Lesson((), tuple(talks), _system(rng))


FAMILIES = {
    "shapes": shapes,
    "printed": printed,
    "cards": cards,
    "pages": pages,
    "clips": clips,
    "several": several,
    "agent": agent,
    "words_only": words_only,
}
