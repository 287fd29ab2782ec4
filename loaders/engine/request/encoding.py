"""Prepares a request on the CPU, in any thread: token ids, positions, pictures still as bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....utils.chat.requests import Request
from ....utils.errors import GenerationError
from ....utils.images.picture import Clip
from ..state.transfer import as_tensor, pinned
from .prompt import PromptEncoder, render, sized_visuals


@dataclass(frozen=True, slots=True, eq=False)
class Visual:
    """One picture, or one pair of frames of a clip, and where its tokens stand in the prompt.

    `data` is uint8 [height, width, 3], or float32 [patches, values] as the processor made it;
    `grid_hw` counts patches of 16 x 16; the tokens are `start` to `start + tokens`.
    """

    data: np.ndarray
    grid_hw: tuple[int, int]
    start: int
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One request, ready to be read: `ids` int64 [n], `positions` int64 [3, n].

    The token after the prompt has the position `next_position` on all three axes. `content`
    [n, 2] is equal for two requests as far as the model reads the same.
    """

    ids: np.ndarray
    positions: np.ndarray
    next_position: int
    content: np.ndarray
    visuals: tuple[Visual, ...]

    @property
    def length(self) -> int:
        """Text and visual tokens together."""
        return len(self.ids)


class Preparer:
    """Prepares requests with the encoder's processor; safe to call from several threads.

    Args:
        encoder: the processor and how it is used.
        config: the module's configuration.
        pin: whether pixels go into memory that a CUDA device can copy from by itself.
    """

    def __init__(self, encoder: PromptEncoder, config: Any, pin: bool = False):
        self._encoder, self._pin = encoder, pin
        self._merge = int(config.vision_config.spatial_merge_size)
        self._patch = int(config.vision_config.patch_size)
        self._image_id, self._video_id = int(config.image_token_id), int(config.video_token_id)

    def __call__(self, request: Request) -> Prepared:
        """Render, size and tokenize one request.

        Raises:
            InputError: a picture or clip whose shape the model cannot take.
        """
        parts = [part for message in request.messages for part in message.parts]
        with_clips = any(isinstance(part, Clip) for part in parts)
        ids, pieces = self._stock(request) if with_clips else self._pictures(request)
        visuals = self._place(ids, pieces)
        positions, next_position = place_tokens(len(ids), visuals, self._merge)
        return Prepared(ids, positions, next_position, _content(ids, visuals), visuals)

    def _pictures(self, request: Request) -> tuple[np.ndarray, list[_Piece]]:
        """Ids with each picture's placeholder widened to its tokens; no float pixel is made."""
        pictures, _ = sized_visuals(request, self._encoder.processor)
        text = render(request, self._encoder.processor)
        short = np.asarray(self._encoder.tokenizer(text)["input_ids"], dtype=np.int64)
        pieces = [_Piece(p.pixels, self._grid(p.size_wh)) for p in pictures]
        repeats = np.ones(len(short), dtype=np.int64)
        repeats[short == self._image_id] = [self._tokens(piece.grid_hw) for piece in pieces]
        return short.repeat(repeats), pieces

    def _stock(self, request: Request) -> tuple[np.ndarray, list[_Piece]]:
        """Ids and patches from the processor itself, which knows how clips are timed."""
        inputs = self._encoder.encode(request).inputs
        ids = inputs["input_ids"][0].numpy()
        images = _split(inputs, "pixel_values", "image_grid_thw")
        frames = _split(inputs, "pixel_values_videos", "video_grid_thw")
        is_clip = [ids[start] == self._video_id for start, _ in self._runs(ids)]
        return ids, [next(frames) if clip else next(images) for clip in is_clip]

    def _grid(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        return size_wh[1] // self._patch, size_wh[0] // self._patch

    def _tokens(self, grid_hw: tuple[int, int]) -> int:
        return grid_hw[0] * grid_hw[1] // self._merge**2

    def _runs(self, ids: np.ndarray) -> list[tuple[int, int]]:
        """(start, end) of every run of visual tokens; two pictures never touch."""
        visual = (ids == self._image_id) | (ids == self._video_id)
        edges = np.flatnonzero(np.diff(np.concatenate(([False], visual, [False])).astype(np.int8)))
        return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]

    def _place(self, ids: np.ndarray, pieces: list[_Piece]) -> tuple[Visual, ...]:
        runs = self._runs(ids)
        if [end - start for start, end in runs] != [self._tokens(p.grid_hw) for p in pieces]:
            raise GenerationError(
                "The chat template does not place one run of tokens for each picture.",
                "Use the template that came with the checkpoint.",
            )
        return tuple(
            Visual(self._memory(piece.data), piece.grid_hw, start, end - start)
            for piece, (start, end) in zip(pieces, runs, strict=True)
        )

    def _memory(self, data: np.ndarray) -> np.ndarray:
        if not self._pin:
            return data
        return pinned(as_tensor(data)).numpy()


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    data: np.ndarray
    grid_hw: tuple[int, int]


def _split(inputs: dict[str, Any], pixels: str, grids: str) -> Any:
    """The processor's packed patches one picture, or one pair of frames, at a time."""
    if pixels not in inputs:
        return
    values, at = inputs[pixels].numpy(), 0
    for frames, height, width in inputs[grids].tolist():
        for _ in range(frames):
            yield _Piece(values[at : at + height * width], (height, width))
            at += height * width


def place_tokens(length: int, visuals: tuple[Visual, ...], merge: int) -> tuple[np.ndarray, int]:
    """Positions int64 [3, length] (time, row, column) and the next free one.

    Text counts up on all axes. A picture stands at one moment, its tokens at their rows and
    columns, and the text goes on after its longer side (the model's own rope index).
    """
    positions = np.empty((3, length), dtype=np.int64)
    at = current = 0
    for visual in visuals:
        rows, columns = visual.grid_hw[0] // merge, visual.grid_hw[1] // merge
        positions[:, at : visual.start] = np.arange(visual.start - at) + current
        current += visual.start - at
        at = visual.start + visual.tokens
        span = positions[:, visual.start : at]
        span[0] = current
        span[1] = current + np.arange(rows).repeat(columns)
        span[2] = current + np.tile(np.arange(columns), rows)
        current += max(rows, columns)
    positions[:, at:] = np.arange(length - at) + current
    return positions, current + length - at


def _content(ids: np.ndarray, visuals: tuple[Visual, ...]) -> np.ndarray:
    """What distinguishes each token for the model: its id, or its picture and place in it."""
    content = np.zeros((len(ids), 2), dtype=np.int64)
    content[:, 0] = ids
    for visual in visuals:
        hashed = hashlib.blake2b(np.ascontiguousarray(visual.data).data, digest_size=16)
        hashed.update(repr(visual.grid_hw).encode())
        low, high = np.frombuffer(hashed.digest(), dtype=np.int64)
        span = content[visual.start : visual.start + visual.tokens]
        # Wraps around; the order inside the picture only has to differ.
        span[:, 0] = np.arange(visual.tokens) + (low >> 1)
        span[:, 1] = high | 1  # never 0, so no text token can look like it
    return content
