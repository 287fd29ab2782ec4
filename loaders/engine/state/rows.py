"""The state of every decode row on the device, at addresses that a captured step can keep."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch

from ....utils.chat.sampling import Sampling
from .pool import SCRATCH_PAGE
from .sampler import NO_TOKEN, Drawing, SamplingRows, choose_tokens, fold_seed
from .transfer import upload


class Field(IntEnum):
    """Columns of `Rows.ints`."""

    TOKEN = 0  # the token to be read next
    LENGTH = 1  # cached tokens before it
    SHIFT = 2  # its position is LENGTH + SHIFT
    STEP = 3  # tokens generated so far
    ACTIVE = 4  # 1 while a request has the row; LENGTH and STEP grow by it
    TOP_K = 5
    SEED = 6


class Rows:
    """`count` decode rows; row i attends to the pages in `table[i]`.

    An idle row has length 0 and the scratch page, so it can be stepped without harm.
    """

    def __init__(self, count: int, vocabulary: int, columns: int, device: torch.device):
        self.count, self.device = count, device
        self.ints = torch.zeros(count, len(Field), dtype=torch.int64, device=device)
        self.floats = torch.ones(count, 4, dtype=torch.float32, device=device)
        self.seen = torch.zeros(count, vocabulary, dtype=torch.bool, device=device)
        self.table = torch.full((count, columns), SCRATCH_PAGE, dtype=torch.int64, device=device)

    def reset(self) -> None:
        """Make every row idle."""
        self.ints.zero_()
        self.table.fill_(SCRATCH_PAGE)

    def set_pages(self, changes: Sequence[tuple[int, int, int]]) -> None:
        """Enter (row, column, page) triples into the table."""
        if changes:
            row, column, page = upload(np.asarray(changes, dtype=np.int64).T, self.device)
            self.table[row, column] = page

    def prepare(
        self, row: int, sampling: Sampling, seed: int, tokens: Sequence[int], shift: int
    ) -> None:
        """Lay down how a row samples; `tokens` are those generated before (after a restart)."""
        ints = np.zeros(len(Field), dtype=np.int64)
        ints[[Field.SHIFT, Field.STEP]] = shift, len(tokens)
        ints[[Field.TOP_K, Field.SEED]] = sampling.top_k, fold_seed(seed)
        floats = np.array(
            [
                sampling.temperature,
                sampling.top_p,
                sampling.repetition_penalty,
                sampling.presence_penalty,
            ],
            dtype=np.float32,
        )
        self.ints[row] = upload(ints, self.device)
        self.floats[row] = upload(floats, self.device)
        self.seen[row] = False
        if tokens:
            mark(self.seen[row], upload(np.asarray(tokens, dtype=np.int64), self.device))

    def start(
        self,
        rows: Sequence[int],
        lengths: Sequence[int],
        logits: torch.Tensor,
        drawing: Drawing = "candidates",
    ) -> torch.Tensor:
        """Draw the first token of prepared rows from `logits` [m, V]; they are active now.

        Returns:
            the tokens [m]; NO_TOKEN for a row whose logits are not all numbers.
        """
        pairs = upload(np.asarray([rows, lengths], dtype=np.int64), self.device)
        index, length = pairs[0], pairs[1]
        ints, floats, seen = self.ints[index], self.floats[index], self.seen[index]
        settings = sampling_rows(ints, floats)
        tokens = choose_tokens(logits, seen, settings, ints[:, Field.STEP], drawing)
        ints[:, Field.TOKEN], ints[:, Field.LENGTH] = tokens, length
        ints[:, Field.STEP] += 1
        ints[:, Field.ACTIVE] = 1
        self.ints[index] = ints
        mark(self.seen, index, tokens)
        return torch.where(logits.isnan().any(dim=-1), NO_TOKEN, tokens)

    def leave(self, rows: Sequence[int]) -> None:
        """Make these rows idle."""
        index = upload(np.asarray(rows, dtype=np.int64), self.device)
        self.ints.index_fill_(0, index, 0)
        self.table.index_fill_(0, index, SCRATCH_PAGE)

    def branch(self, guesses: Sequence[int]) -> None:
        """Make rows 1, 2, ... copies of row 0 that are one guessed token further each."""
        count = len(guesses)
        for tensor in (self.ints, self.floats, self.seen, self.table):
            tensor[1 : count + 1] = tensor[:1]
        further = np.arange(1, count + 1)
        tokens, further = upload(np.asarray([guesses, further], dtype=np.int64), self.device)
        branches = self.ints[1 : count + 1]
        branches[:, Field.TOKEN] = tokens
        branches[:, Field.LENGTH] += further
        branches[:, Field.STEP] += further
        # A branch has seen its own guess and those before it.
        row, guess = upload(np.asarray(np.tril_indices(count), dtype=np.int64), self.device)
        mark(self.seen, row + 1, tokens[guess])

    def settle(self, branch: int, count: int) -> None:
        """Go on from one of the first `count` rows as row 0; the others become idle."""
        if branch:
            for tensor in (self.ints, self.floats, self.seen, self.table):
                tensor[0] = tensor[branch]
        self.ints[1:count] = 0
        self.table[1:count] = SCRATCH_PAGE

    def move(self, source: int, target: int) -> None:
        """Move one row's state to another, idle row."""
        for tensor in (self.ints, self.floats, self.seen, self.table):
            tensor[target] = tensor[source]
        self.leave([source])


def mark(seen: torch.Tensor, *places: torch.Tensor) -> None:
    """Make these places of a bool tensor true.

    The plain assignment of a number to places waits until the device is done with all before it.
    """
    seen.index_put_(places, torch.ones((), dtype=torch.bool, device=seen.device))


def sampling_rows(ints: torch.Tensor, floats: torch.Tensor) -> SamplingRows:
    """The sampling settings of these rows, as views."""
    return SamplingRows(
        temperature=floats[:, 0],
        top_p=floats[:, 1],
        top_k=ints[:, Field.TOP_K],
        repetition_penalty=floats[:, 2],
        presence_penalty=floats[:, 3],
        seed=ints[:, Field.SEED],
    )
