"""Lessons as tensors: tokens, rotary positions and targets, exactly as processor and template render them."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

import lessons
from checkpoint_files import CHECKPOINT
from lesson import Lesson, Visual

# Share of batches, and most tokens of a row, for each family.
SHARES = {"shapes": 0.44, "printed": 0.17, "cards": 0.06, "pages": 0.12, "clips": 0.10, "several": 0.06,
          "agent": 0.05}
ROOM = {"shapes": 400, "several": 300}
WORDS_ONLY_ROWS = 0.02
# (shortest, longest) side and most pixels of the picture sizes a family is shown at.
SIDES = {"shapes": (160, 640, 640 * 640), "printed": (160, 640, 512 * 512), "cards": (192, 640, 512 * 512),
         "pages": (448, 896, 800 * 800), "clips": (128, 256, 224 * 224), "several": (160, 448, 320 * 320),
         "agent": (160, 640, 640 * 480)}
TASKS = ("caption_short", "caption_detailed", "caption_tags", "caption_prompt", "caption_alt_text",
         "caption_training", "caption_style", "caption_count", "count", "yes_no", "attribute", "boxes",
         "absent", "referring", "box_attributes", "points", "chat", "ocr", "spotting", "caption_text",
         "key_values", "field", "markdown", "html", "events", "at_second", "video_caption", "grounding",
         "which_picture", "one_picture", "each_picture", "how_many_pictures", "click", "no_picture")


@functools.lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


@dataclass(frozen=True, slots=True)
class Row:
    """One lesson: ids, positions [3, n], segments, and for each target its place, token and task."""

    ids: list[int]
    positions: np.ndarray
    segments: list[int]
    targets: list[tuple[int, int, int]]  # (place whose output is asked, wanted token, talk number)
    tasks: list[int]                     # task of each talk


def beginning(lesson: Lesson) -> str:
    """The rendered chat up to the first question, one placeholder a picture or pair of frames."""
    import json

    text = ""
    if lesson.tools:
        system = f"{lesson.system}\n\n" if lesson.system else ""
        signatures = "".join(f"\n{json.dumps(t, ensure_ascii=False)}" for t in lesson.tools)
        text = (f"<|im_start|>system\n{system}# Tools\n\nYou may call one or more functions to assist with the "
                "user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n"
                f"<tools>{signatures}\n</tools>\n\nFor each function call, return a json object with function "
                "name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": "
                "<function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n")
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
    pairs = "".join(f"<{t:.1f} seconds><|vision_start|><|video_pad|><|vision_end|>" for t in visual.pair_times)
    return f"<|vision_start|>{pairs}<|vision_end|>" if visual.wrapped else pairs


def lay_out(lesson: Lesson, room: int | None = None) -> Row:
    """A lesson as one row; chats that do not fit in `room` further tokens are left out."""
    pads = [tokenizer().token_to_id(t) for t in ("<|image_pad|>", "<|video_pad|>")]
    grids = [(v.size_wh[1] // 32, v.size_wh[0] // 32) for v in lesson.visuals
             for _ in range(max(1, len(v.pair_times)))]
    ids: list[int] = []
    runs: list[np.ndarray] = []
    at, grid = 0, iter(grids)
    for token in tokenizer().encode(beginning(lesson)).ids:
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
    segments, targets, tasks, used = [0] * len(ids), [], [], 0
    for talk in lesson.talks:
        tokens, asked = _talk_tokens(talk.turns)
        if room and tasks and used + len(tokens) > room:
            continue
        used += len(tokens)
        tasks.append(TASKS.index(talk.task))
        start = len(ids)
        targets += [(start + k - 1, tokens[k], len(tasks) - 1) for k in asked]
        ids += tokens
        segments += [len(tasks)] * len(tokens)
        runs.append(np.broadcast_to(at + np.arange(len(tokens)), (3, len(tokens))))
    return Row(ids, np.concatenate(runs, axis=1), segments, targets, tasks)


def _talk_tokens(turns) -> tuple[list[int], list[int]]:
    """Tokens of a chat after the visuals, and the places that the assistant writes."""
    tokens: list[int] = []
    asked: list[int] = []
    for number, (question, answer) in enumerate(turns):
        head = "\n<|im_start|>user\n" if number else ""
        tokens += tokenizer().encode(f"{head}{question}<|im_end|>\n<|im_start|>assistant\n").ids
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
    high = low + (high - low) * reach
    while True:
        width = round(low * (high / low) ** rng.random() / 32) * 32
        height = round(width * 2 ** rng.uniform(-1, 1) / 32) * 32
        if low <= height <= max(high, low) and width * height <= most:
            return width, height


def draw_batches(rng: random.Random, family: str, budget: int, reach: float = 1.0,
                 count: int = 4) -> list[dict[str, torch.Tensor]]:
    """Batches of one family at one size, each of about `budget` patches and tokens.

    Rows of like length go into one batch, so that little is padding.
    """
    grid_wh = random_grid(rng, family, reach)
    patches = grid_wh[0] * grid_wh[1] // 256
    drawn: list[tuple[Row, list[np.ndarray]]] = []
    spent = 0
    while spent < budget * count:
        bare = family == "shapes" and rng.random() < WORDS_ONLY_ROWS
        lesson = (lessons.words_only if bare else lessons.FAMILIES[family])(rng, grid_wh)
        drawn.append((lay_out(lesson, ROOM.get(family)), pixels_of(lesson)))
        spent += len(drawn[-1][0].ids) + len(drawn[-1][1]) * patches
    drawn.sort(key=lambda pair: len(pair[0].ids))
    size = -(-len(drawn) // count)
    parts = [drawn[k : k + size] for k in range(0, len(drawn), size)]
    rng.shuffle(parts)
    return [collate([row for row, _ in part], [p for _, shown in part for p in shown]) for part in parts
            if any(shown for _, shown in part)]


def collate(rows: list[Row], pixels: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Rows padded to a common length (a multiple of 16) with flat indices into them."""
    length = -(-max(len(r.ids) for r in rows) // 16) * 16
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions = torch.zeros(3, len(rows), length, dtype=torch.long)
    segments = torch.full((len(rows), length), -1, dtype=torch.long)
    wanted, answers, tasks, weights, talks, talk_tasks = [], [], [], [], [], []
    for k, row in enumerate(rows):
        n = len(row.ids)
        ids[k, :n] = torch.tensor(row.ids)
        positions[:, k, :n] = torch.from_numpy(row.positions)
        segments[k, :n] = torch.tensor(row.segments)
        sizes = np.bincount([t[2] for t in row.targets], minlength=len(row.tasks))
        for place, token, talk in row.targets:
            wanted.append(k * length + place)
            answers.append(token)
            tasks.append(row.tasks[talk])
            talks.append(len(talk_tasks) + talk)
            weights.append(sizes[talk] ** -0.5)
        talk_tasks += row.tasks
    pads = [tokenizer().token_to_id(t) for t in ("<|image_pad|>", "<|video_pad|>")]
    return {
        "pixels": torch.from_numpy(np.stack(pixels)), "ids": ids, "positions": positions, "segments": segments,
        "slots": torch.isin(ids, torch.tensor(pads)).flatten().nonzero().flatten(),
        "wanted": torch.tensor(wanted), "answers": torch.tensor(answers), "tasks": torch.tensor(tasks),
        "weights": torch.tensor(weights, dtype=torch.float32), "talks": torch.tensor(talks),
        "talk_tasks": torch.tensor(talk_tasks),
    }
