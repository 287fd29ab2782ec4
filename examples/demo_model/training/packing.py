"""Lessons as tensors, exactly as processor and template render them."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import dataclass

import numpy as np
import torch
from checkpoint.checkpoint_files import CHECKPOINT
from talks import lessons
from talks.lesson import Lesson, Visual
from tokenizers import Tokenizer
from world.cells import COLUMNS

# Relative share of batches, and most tokens of a row, for each family.
SHARES = {
    "shapes": 0.36,
    "printed": 0.25,
    "cards": 0.07,
    "pages": 0.12,
    "clips": 0.10,
    "several": 0.06,
    "agent": 0.05,
}
ROOM = {"shapes": 400, "several": 300}
WORDS_ONLY_ROWS = 0.02
# (shortest, longest) side and most pixels of the picture sizes a family is shown at.
SIDES = {
    "shapes": (160, 1152, 810 * 810),  # the most that the processor leaves, at 1:2 to 2:1
    "printed": (160, 640, 512 * 512),
    "cards": (192, 640, 512 * 512),
    "pages": (448, 896, 800 * 800),
    "clips": (128, 256, 224 * 224),
    "several": (160, 448, 320 * 320),
    "agent": (160, 640, 640 * 480),
}
# Batches of small pictures, of which many more can be shown; none of pages.
SMALL, SMALL_SHAPES = 0.55, 0.4
TASKS = (
    "caption_short",
    "caption_detailed",
    "caption_tags",
    "caption_prompt",
    "caption_alt_text",
    "caption_training",
    "caption_style",
    "caption_count",
    "count",
    "yes_no",
    "attribute",
    "boxes",
    "absent",
    "referring",
    "box_attributes",
    "points",
    "chat",
    "ocr",
    "spotting",
    "caption_text",
    "key_values",
    "field",
    "markdown",
    "html",
    "events",
    "at_second",
    "video_caption",
    "grounding",
    "which_picture",
    "one_picture",
    "each_picture",
    "how_many_pictures",
    "click",
    "no_picture",
)


@functools.lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    """The checkpoint's own tokenizer."""
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


@dataclass(frozen=True, slots=True)
class Row:
    """One lesson: ids, positions [3, n], segments, and each target's place, token, talk."""

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    places: np.ndarray  # where the wanted token is predicted
    wanted: np.ndarray
    talks: np.ndarray
    tasks: list[int]  # task of each talk


@functools.lru_cache(maxsize=20_000)
def _tokens(text: str) -> list[int]:
    return tokenizer().encode(text).ids


def beginning(lesson: Lesson) -> str:
    """The rendered chat up to the first question, one placeholder a picture or pair of frames."""
    text = ""
    if lesson.tools:
        before = f"{lesson.system}\n\n" if lesson.system else ""
        shown = "\n".join(json.dumps(t, ensure_ascii=False) for t in lesson.tools)
        text = f"<|im_start|>system\n{before}{lessons.tools_text(shown)}<|im_end|>\n"
    elif lesson.system:
        text = f"<|im_start|>system\n{lesson.system}<|im_end|>\n"
    text += f"<|im_start|>user\n{lesson.lead}"
    for number, visual in enumerate(lesson.visuals, 1):
        text += f"{'Video' if visual.is_clip else 'Picture'} {number}: " if lesson.numbered else ""
        text += _placeholder(visual)
    return text


def _placeholder(visual: Visual) -> str:
    if not visual.is_clip:
        return "<|vision_start|><|image_pad|><|vision_end|>"
    pairs = "".join(
        f"<{t:.1f} seconds><|vision_start|><|video_pad|><|vision_end|>" for t in visual.pair_times
    )
    return f"<|vision_start|>{pairs}<|vision_end|>" if visual.wrapped else pairs


def lay_out(lesson: Lesson, room: int | None = None) -> Row:
    """A lesson as one row; chats that do not fit in `room` further tokens are left out."""
    pads = [tokenizer().token_to_id(t) for t in ("<|image_pad|>", "<|video_pad|>")]
    grids = [
        (v.size_wh[1] // 32, v.size_wh[0] // 32)
        for v in lesson.visuals
        for _ in range(max(1, len(v.pair_times)))
    ]
    ids: list[int] = []
    runs: list[np.ndarray] = []
    at, grid = 0, iter(grids)
    for token in _tokens(beginning(lesson)):
        if token in pads:
            rows, columns = next(grid)
            ids += [token] * (rows * columns)
            y, x = np.divmod(np.arange(rows * columns), columns)
            runs.append(np.stack((np.full_like(y, at), at + y, at + x)))
            at += max(rows, columns)
        else:
            ids.append(token)
            runs.append(np.full((3, 1), at))
            at += 1
    segments, places, wanted, talks, tasks, used = [0] * len(ids), [], [], [], [], 0
    for talk in lesson.talks:
        tokens, asked = _talk_tokens(talk.turns)
        if room and tasks and used + len(tokens) > room:
            continue
        used += len(tokens)
        start = len(ids)
        places += [start + k - 1 for k in asked]
        wanted += [tokens[k] for k in asked]
        talks += [len(tasks)] * len(asked)
        tasks.append(TASKS.index(talk.task))
        ids += tokens
        segments += [len(tasks)] * len(tokens)
        runs.append(np.broadcast_to(at + np.arange(len(tokens)), (3, len(tokens))))
    return Row(
        np.array(ids),
        np.concatenate(runs, axis=1),
        np.array(segments),
        np.array(places),
        np.array(wanted),
        np.array(talks),
        tasks,
    )


def _talk_tokens(turns) -> tuple[list[int], list[int]]:
    """Tokens of a chat after the visuals, and the places that the assistant writes."""
    tokens: list[int] = []
    asked: list[int] = []
    for number, (question, answer) in enumerate(turns):
        head = "\n<|im_start|>user\n" if number else ""
        tokens += _tokens(f"{head}{question}<|im_end|>\n<|im_start|>assistant\n")
        reply = tokenizer().encode(f"{answer}<|im_end|>").ids
        asked += range(len(tokens), len(tokens) + len(reply))
        tokens += reply
    return tokens, asked


def pixels_of(lesson: Lesson) -> list[np.ndarray]:
    """uint8 [1, height, width, 3] for each picture, [2, ...] for each pair of frames."""
    result = []
    for visual in lesson.visuals:
        frames = [np.asarray(f) for f in visual.frames]
        step = 2 if visual.is_clip else 1
        result += [np.stack(frames[k : k + step]) for k in range(0, len(frames), step)]
    return result


def random_grid(rng: random.Random, family: str, reach: float = 1.0) -> tuple[int, int]:
    """A picture size in multiples of 32; `reach` below 1 keeps pictures small."""
    low, high, most = SIDES[family]
    small = SMALL_SHAPES if family == "shapes" else SMALL
    if family != "pages" and rng.random() < small:
        high, most = min(high, 416), min(most, 352 * 352)
    high = low + (high - low) * reach
    while True:
        width = round(low * (high / low) ** rng.random() / 32) * 32
        height = round(width * 2 ** rng.uniform(-1, 1) / 32) * 32
        if low <= height <= max(high, low) and width * height <= most:
            return width, height


def draw_batches(
    rng: random.Random, family: str, budget: int, reach: float = 1.0, count: int = 2
) -> list[dict[str, torch.Tensor]]:
    """Batches of one family at one size, each of about `budget` patches and tokens.

    Rows of like length go into one batch, so that little is padding.
    """
    grid_wh = random_grid(rng, family, reach)
    patches = grid_wh[0] * grid_wh[1] // 256
    drawn: list[tuple[Row, list[np.ndarray], list[np.ndarray]]] = []
    spent = 0
    while spent < budget * count:
        bare = family == "shapes" and rng.random() < WORDS_ONLY_ROWS
        lesson = (lessons.words_only if bare else lessons.FAMILIES[family])(rng, grid_wh)
        truth = [c for visual in lesson.visuals for c in visual.cells]
        drawn.append((lay_out(lesson, ROOM.get(family)), pixels_of(lesson), truth))
        spent += len(drawn[-1][0].ids) + len(truth) * patches
    drawn.sort(key=lambda one: len(one[0].ids))
    size = -(-len(drawn) // count)
    parts = [drawn[k : k + size] for k in range(0, len(drawn), size)]
    rng.shuffle(parts)
    return [
        collate(
            [row for row, _, _ in part],
            [p for _, shown, _ in part for p in shown],
            [c for _, _, truth in part for c in truth],
        )
        for part in parts
        if any(shown for _, shown, _ in part)
    ]


def collate(
    rows: list[Row], pixels: list[np.ndarray], truth: list[np.ndarray]
) -> dict[str, torch.Tensor]:
    """Rows padded to a common length (a multiple of 16) with flat indices into them.

    `truth` says what the visual tokens cover (see cells.py), one array for each of `pixels`.
    """
    length = -(-max(len(r.ids) for r in rows) // 16) * 16
    ids = np.zeros((len(rows), length), np.int32)
    positions = np.zeros((3, len(rows), length), np.int32)
    segments = np.full((len(rows), length), -1, np.int32)
    talks_before = 0
    places, talks, weights = [], [], []
    for k, row in enumerate(rows):
        n = len(row.ids)
        ids[k, :n], positions[:, k, :n], segments[k, :n] = row.ids, row.positions, row.segments
        places.append(k * length + row.places)
        talks.append(talks_before + row.talks)
        weights.append(np.bincount(row.talks)[row.talks] ** -0.5)
        talks_before += len(row.tasks)
    talk_tasks = np.array([t for row in rows for t in row.tasks])
    all_talks = np.concatenate(talks)
    pads = [tokenizer().token_to_id(t) for t in ("<|image_pad|>", "<|video_pad|>")]
    arrays = {
        "pixels": np.stack(pixels),
        "cells": np.stack(truth).reshape(-1, COLUMNS).astype(np.int32),
        "ids": ids,
        "positions": positions,
        "segments": segments,
        "slots": np.flatnonzero(np.isin(ids, pads)),
        "wanted": np.concatenate(places),
        "answers": np.concatenate([row.wanted for row in rows]),
        "tasks": talk_tasks[all_talks],
        "weights": np.concatenate(weights).astype(np.float32),
        "talks": all_talks,
        "talk_tasks": talk_tasks,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
