"""The official sampling settings: one table, chosen by model edition and input."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from .generation_options import GenerationOptions

Edition = Literal["instruct", "thinking"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """A complete setting, nothing left to choose. Temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    presence_penalty: float


# Source: the Qwen3-VL model cards ("Generation hyperparameters").
OFFICIAL: dict[tuple[Edition, bool], Sampling] = {
    ("instruct", True): Sampling(16_384, 0.7, 0.8, 20, 1.0, 1.5),
    ("instruct", False): Sampling(32_768, 1.0, 1.0, 40, 1.0, 2.0),
    ("thinking", True): Sampling(40_960, 0.6, 0.95, 20, 1.0, 0.0),
    ("thinking", False): Sampling(40_960, 0.6, 0.95, 20, 1.0, 0.0),
}


def resolve(options: GenerationOptions, edition: Edition, has_vision: bool) -> Sampling:
    """The official setting for this edition and input, with the user's own values on top."""
    official = OFFICIAL[edition, has_vision]
    chosen = {f.name: getattr(options, f.name) for f in fields(Sampling)}
    return replace(official, **{name: v for name, v in chosen.items() if v is not None})
