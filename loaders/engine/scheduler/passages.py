"""Pieces of prompts that are read in one step, as the towers take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..model.attention import PromptAttention, Span, token_places
from ..model.text_tower import Attend, Deepstack, TextModel
from ..model.torch_ops import Begun, Rotary, write_at
from ..model.vision_tower import VisionTower
from ..request.sequence import Sequence
from ..state.pool import PagePool
from ..state.transfer import upload


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens `start` to `end` of a sequence, to be read in one prompt step."""

    sequence: Sequence
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PromptStep:
    """Tokens of one step, one behind the other, and how they attend."""

    hidden: torch.Tensor
    rotary: Rotary
    targets: torch.Tensor
    attend: Attend
    deepstack: Deepstack | None

    def with_rows(self, begun: Begun, attend: Attend) -> PromptStep:
        """The same with running rows behind."""
        count, first = len(self.hidden), self.attend

        def both(layer: int, *heads: torch.Tensor) -> torch.Tensor:
            mine = first(layer, *(tensor[:count] for tensor in heads))
            return torch.cat((mine, attend(layer, *(tensor[count:] for tensor in heads))))

        return PromptStep(
            torch.cat((self.hidden, begun.hidden)),
            tuple(map(torch.cat, zip(self.rotary, begun.rotary, strict=True))),  # type: ignore
            torch.cat((self.targets, begun.targets)),
            both,
            self.deepstack,
        )


def next_passages(reading: list[Sequence], most_tokens: int) -> list[Passage]:
    """What is read of these prompts in one step."""
    passages = []
    for one in reading:
        if count := min(most_tokens, one.length - one.cached):
            passages.append(Passage(one, one.cached, one.cached + count))
            most_tokens -= count
    return passages


def look(passages: list[Passage], vision: VisionTower, tick: Callable[[], None]) -> None:
    """Compute the features of pictures whose tokens are not all cached."""
    wanted = [
        (passage.sequence, number)
        for passage in passages
        for number, visual in enumerate(passage.sequence.prepared.visuals)
        if visual.start + visual.tokens > passage.sequence.cached
        and number not in passage.sequence.features
    ]
    visuals = [sequence.prepared.visuals[number] for sequence, number in wanted]
    for (sequence, number), features in zip(wanted, vision(visuals, tick), strict=True):
        sequence.features[number] = features


def prompt_step(
    passages: list[Passage], text: TextModel, pool: PagePool, device: torch.device
) -> PromptStep:
    """The passages as one step; their pictures have been looked at."""
    pieces = [one.sequence.tokens(one.start, one.end) for one in passages]
    hidden = text.embed(upload(np.concatenate([ids for ids, _ in pieces]), device))
    positions = upload(np.concatenate([places for _, places in pieces], axis=1), device)
    targets = np.concatenate(
        [token_places(p.sequence.pages, p.start, p.end, pool.page_tokens) for p in passages]
    )
    spans = [Span(one.start, one.end - one.start, one.sequence.pages) for one in passages]
    return PromptStep(
        hidden,
        text.rotary(positions),
        upload(targets, device),
        PromptAttention(pool, spans, text.dtype),
        _show(passages, hidden),
    )


def _show(passages: list[Passage], hidden: torch.Tensor) -> Deepstack | None:
    """Put the features into `hidden` [T, C]; returns those for the layers to come."""
    places, features, at = [], [], 0
    for passage in passages:
        for number, visual in enumerate(passage.sequence.prepared.visuals):
            first = max(passage.start, visual.start)
            last = min(passage.end, visual.start + visual.tokens)
            if first < last:
                # NumPy 1 on Windows counts in 32 bits, and torch takes 64 as an index.
                mine = np.arange(first, last, dtype=np.int64)
                places.append(mine - passage.start + at)
                whole = passage.sequence.features[number]
                features.append(whole[:, first - visual.start : last - visual.start])
        at += passage.end - passage.start
    if not places:
        return None
    rows = upload(np.concatenate(places), hidden.device)
    levels = torch.cat(features, dim=1).to(hidden.dtype)
    write_at(hidden, 0, rows, levels[0])
    return Deepstack(rows, list(levels[1:]))
