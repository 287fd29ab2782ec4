"""Runs prompt steps and decode steps on one module, and owns every buffer they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..model.layers import fingerprint, has_experts
from ..model.text_tower import Attend, TextModel
from ..model.torch_ops import Begun, DecodeView, TorchOps
from ..model.vision_tower import VisionTower
from ..request.sequence import Sequence
from ..state.pool import PAGE_TOKENS, PagePool
from ..state.prefix import PrefixCache
from ..state.rows import Field, Rows
from ..state.sampler import Drawing, drawing_for
from ..state.transfer import upload
from .graphs import StepGraphs
from .passages import Passage, look, prompt_step
from .readback import Readback

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
# Rows that a sequence which runs alone takes to look ahead at most, its own with them; a bucket.
GUESSED_ROWS = 8


def bucket(rows: int) -> int:
    """The smallest captured batch that holds so many rows."""
    return next((size for size in BUCKETS if size >= rows), rows)


@dataclass(frozen=True, slots=True)
class Beside:
    """The first `batch` rows, to be given a token; `drawing` says from how much of the vocabulary.

    `pages` is how many columns of the table matter, None where the kernel finds out by itself;
    `shared` says (then only) that all rows have the pages of the first.
    """

    batch: int
    pages: int | None
    drawing: Drawing
    shared: bool = False


class Stepper:
    """One module's steps. `attach` before a run, `detach` after it.

    Buffers (pool, rows, graphs, remembered prefixes) stay from run to run until `drop`; between
    runs no weight is held, so the module can be moved.
    """

    def __init__(
        self,
        module: Any,
        image_processor: Any,
        ops: TorchOps,
        most_rows: int,
        page_tokens: int = PAGE_TOKENS,
    ):
        self._module, self._image_processor, self._ops = module, image_processor, ops
        self._most_rows, self._page_tokens = most_rows, page_tokens
        self._where: tuple[int, ...] = ()
        self._graphs = StepGraphs()
        self._with_graphs = False
        self.drop()

    def drop(self) -> None:
        """Give back pool, rows, graphs and prefixes."""
        self._graphs.clear()
        self.pool: PagePool = None  # type: ignore[assignment]
        self.rows: Rows = None  # type: ignore[assignment]
        self.prefix: PrefixCache = None  # type: ignore[assignment]

    def detach(self) -> None:
        """Hold no weight any more."""
        self.text: TextModel = None  # type: ignore[assignment]
        self.vision: VisionTower = None  # type: ignore[assignment]

    @torch.inference_mode()
    def attach(self) -> None:
        """Take the weights where they are now; buffers of another place are dropped."""
        text = TextModel(self._module, self._ops)  # joins matrices, so before the fingerprint
        where = fingerprint(self._module)
        if where != self._where:
            self.drop()
        self._where, self.text = where, text
        self.vision = VisionTower(self._module.model.visual, self._image_processor, self._ops)
        device = text.embedding.device
        on_device = self._ops.experts_on_device or not has_experts(self._module)
        self._with_graphs = device.type == "cuda" and on_device
        if self.pool is None:
            self._make_buffers(device)

    def _make_buffers(self, device: torch.device) -> None:
        config = self._module.config.text_config
        attention = self._module.model.language_model.layers[0].self_attn
        self.pool = PagePool(
            len(self.text.layers),
            config.num_key_value_heads,
            attention.head_dim,
            self.text.dtype,
            device,
            self._page_tokens,
        )
        self.prefix = PrefixCache(self.pool)
        # A row that has reached its limit is still stepped until the host has seen it.
        columns = self.pool.pages_for(config.max_position_embeddings) + 2
        count = max(bucket(self._most_rows), GUESSED_ROWS)
        self.rows = Rows(count, self.text.head.shape[0], columns, device)

    @torch.inference_mode()
    def grow(self, pages: int) -> None:
        """Enlarge the pool. Raises torch.OutOfMemoryError."""
        self._graphs.clear()
        self.pool.grow(pages)

    @torch.inference_mode()
    def read(
        self, passages: list[Passage], tick: Callable[[], None], beside: Beside | None = None
    ) -> tuple[Readback | None, Readback | None]:
        """Read pieces of prompts, and give rows that are running a token in the same step.

        Returns:
            the first tokens of sequences that are read to their end, in order, or None without any;
            and the tokens of the running rows, or None without `beside`.
        """
        with self._ops.trials(self.rows.device, tick):
            return self._read(passages, tick, beside)

    def _read(
        self, passages: list[Passage], tick: Callable[[], None], beside: Beside | None
    ) -> tuple[Readback | None, Readback | None]:
        device = self.rows.device
        look(passages, self.vision, tick)
        step = prompt_step(passages, self.text, self.pool, device)
        count = len(step.hidden)
        if beside is not None:
            step = step.with_rows(*self._begun(self.rows, beside))
        ends = np.cumsum([one.end - one.start for one in passages]) - 1
        done = [i for i, one in enumerate(passages) if one.end == one.sequence.length]
        running = np.arange(count, len(step.hidden), dtype=np.int64)
        hidden = self.text.run(
            step.hidden,
            step.rotary,
            self.pool,
            step.targets,
            step.attend,
            step.deepstack,
            tick,
            upload(np.concatenate((ends[done], running)), device),
        )
        tokens = None
        if beside is not None:  # first, as it steps rows on that are not active yet
            self._choose(self.rows, hidden[len(done) :], beside.drawing)
            tokens = Readback(self.rows.ints[: beside.batch, Field.TOKEN])
        return self._start([passages[i].sequence for i in done], hidden[: len(done)]), tokens

    def _start(self, sequences: list[Sequence], hidden: torch.Tensor) -> Readback | None:
        if not sequences:
            return None
        rows = [one.row for one in sequences if one.row is not None]
        for one, row in zip(sequences, rows, strict=True):
            shift = one.prepared.next_position - one.prepared.length
            self.rows.prepare(row, one.sampling, one.seed, one.draft.token_ids, shift)
        self.rows.set_pages(
            [
                (one.row, i, p)
                for one in sequences
                for i, p in enumerate(one.pages)
                if one.row is not None
            ]
        )
        logits = self.text.logits(hidden)
        drawing = drawing_for(one.sampling for one in sequences)
        lengths = [one.length for one in sequences]
        return Readback(self.rows.start(rows, lengths, logits, drawing))

    @torch.inference_mode()
    def decode(self, rows: Beside, tick: Callable[[], None]) -> Readback:
        """One token for each of the first rows; `tick` as in `read`."""
        if not self._with_graphs:
            with self._ops.trials(self.rows.device, tick):
                self._decode(self.rows, rows)
            return Readback(self.rows.ints[: rows.batch, Field.TOKEN])
        pages = rows.pages
        if pages is not None:  # few shapes, so few graphs
            pages = min(1 << (pages - 1).bit_length(), self.rows.table.shape[1])
        rows = replace(rows, pages=pages)
        with self._ops.trials(self.rows.device, tick) as tries:
            # Before the capture, and not in its rehearsal, where nobody could interrupt.
            if tries and self._graphs.wants(rows):
                self._decode(self._spare_rows(rows.batch), rows)
        self._graphs.replay(
            rows,
            lambda: self._decode(self.rows, rows),
            lambda: self._decode(self._spare_rows(rows.batch), rows),
        )
        return Readback(self.rows.ints[: rows.batch, Field.TOKEN])

    @torch.inference_mode()
    def check(self, guesses: list[int], beside: Beside, tick: Callable[[], None]) -> Readback:
        """A token for row 0, which runs alone, and one more after each guess, as if all before it
        were right; `beside` has room for them, `tick` as in `read`. Then `settle`.
        """
        self.rows.branch(guesses)
        return self.decode(replace(beside, shared=beside.pages is not None), tick)

    @torch.inference_mode()
    def settle(self, right: int) -> None:
        """So many of the guesses were right."""
        self.rows.settle(right, GUESSED_ROWS)

    def beside(self, batch: int, longest: int, drawing: Drawing) -> Beside:
        """The first `batch` rows (a bucket), of which the longest will have so many tokens."""
        pages = self.pool.pages_for(longest) if self._ops.needs_page_count else None
        return Beside(batch, pages, drawing)

    def _spare_rows(self, batch: int) -> Rows:
        columns = self.rows.table.shape[1]
        return Rows(batch, self.rows.seen.shape[1], columns, self.rows.device)

    def _begun(self, rows: Rows, which: Beside) -> tuple[Begun, Attend]:
        pool, ops = self.pool, self._ops
        begun = ops.begin(self.text, rows, which.batch, pool.page_tokens)
        table = rows.table[: 1 if which.shared else which.batch]
        view = DecodeView(pool, table, begun.lengths, which.pages)

        def attend(layer: int, queries: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
            return ops.decode_attention(queries, pool.keys[layer], pool.values[layer], view)

        return begun, attend

    def _decode(self, rows: Rows, which: Beside) -> None:
        begun, attend = self._begun(rows, which)
        hidden = self.text.run(begun.hidden, begun.rotary, self.pool, begun.targets, attend)
        self._choose(rows, hidden, which.drawing)

    def _choose(self, rows: Rows, hidden: torch.Tensor, drawing: Drawing) -> None:
        self._ops.advance(rows, self._ops.choose(rows, self.text.logits(hidden), drawing))
