"""A sequence: a request while it is generated, with what it has been given and what it drew."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ....utils.chat.sampling import Sampling
from .draft import Draft
from .encoding import Prepared
from .odds import Odds


@dataclass(slots=True, eq=False)
class Sequence:
    """One request while it is generated. `cached` counts its tokens whose keys are in the pool (or
    will be, by a step already launched), `launched` its tokens drawn or being drawn.
    """

    index: int
    seed: int
    prepared: Prepared
    sampling: Sampling
    draft: Draft
    pages: list[int] = field(default_factory=list)
    cached: int = 0
    launched: int = 0
    row: int | None = None
    prefix_key: int | None = None
    # Features of pictures (by number) from the first prompt step until the last.
    features: dict[int, torch.Tensor] = field(default_factory=dict)
    failures: int = 0
    odds: Odds = field(default_factory=Odds)

    @property
    def length(self) -> int:
        """Tokens to be read before the next one can be drawn; more than the prompt after a
        restart.
        """
        return self.prepared.length + len(self.draft.token_ids)

    def tokens(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids [n] and positions [3, n] of these tokens, prompt first, then generated ones."""
        prompt = self.prepared
        more = np.asarray(self.draft.token_ids, dtype=np.int64)
        after = np.broadcast_to(np.arange(len(more)) + prompt.next_position, (3, len(more)))
        ids = np.concatenate((prompt.ids, more))
        positions = np.concatenate((prompt.positions, after), axis=1)
        return ids[start:end], positions[:, start:end]

    def content(self) -> np.ndarray:
        """Of prompt and generated tokens, as `Prepared.content`."""
        more = np.zeros((len(self.draft.token_ids), 2), dtype=np.int64)
        more[:, 0] = self.draft.token_ids
        return np.concatenate((self.prepared.content, more))
