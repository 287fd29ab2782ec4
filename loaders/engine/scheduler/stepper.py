"""Runs prompt steps and decode steps on one module, and owns every buffer they need."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..model.attention import PromptAttention, Span, token_places
from ..model.layers import fingerprint, has_experts
from ..model.text_tower import Attend, Deepstack, TextModel
from ..model.torch_ops import Begun, DecodeView, Rotary, TorchOps, write_at
from ..model.vision_tower import VisionTower
from ..request.intake import Job
from ..state.pool import PAGE_TOKENS, PagePool
from ..state.prefix import PrefixCache
from ..state.rows import Field, Rows
from ..state.sampler import Drawing, drawing_for
from ..state.transfer import upload
from .graphs import StepGraphs
from .meter import look_away_seconds

LOOK_AWAY_SECONDS = look_away_seconds(sys.platform, sys.version_info[:2])
BUCKETS = (1, 2, 4, 8, 16, 32, 64)


def bucket(rows: int) -> int:
    """The smallest captured batch that holds so many rows."""
    return next((size for size in BUCKETS if size >= rows), rows)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `end` of a job, to be read in one prompt step."""

    job: Job
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Beside:
    """The first `batch` rows, to be given a token; `drawing` says from how much of the vocabulary.

    `pages` is how many columns of the table matter, None where the kernel finds out by itself.
    """

    batch: int
    pages: int | None
    drawing: Drawing


@dataclass(frozen=True, slots=True)
class _Packed:
    """Tokens of one step, one behind the other, and how they attend."""

    hidden: torch.Tensor
    rotary: Rotary
    targets: torch.Tensor
    attend: Attend

    def with_rows(self, begun: Begun, attend: Attend) -> _Packed:
        """The same with running rows behind."""
        count, first = len(self.hidden), self.attend

        def both(layer: int, *heads: torch.Tensor) -> torch.Tensor:
            mine = first(layer, *(tensor[:count] for tensor in heads))
            return torch.cat((mine, attend(layer, *(tensor[count:] for tensor in heads))))

        return _Packed(
            torch.cat((self.hidden, begun.hidden)),
            tuple(map(torch.cat, zip(self.rotary, begun.rotary, strict=True))),  # type: ignore
            torch.cat((self.targets, begun.targets)),
            both,
        )


class Readback:
    """Drawn tokens on their way to the host."""

    def __init__(self, tokens: torch.Tensor):
        self._event: torch.cuda.Event | None = None
        if tokens.device.type == "cuda":
            host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
            self._host = host.copy_(tokens, non_blocking=True)
            self._event = event = torch.cuda.Event()
            event.record()
        else:
            self._host = tokens.to("cpu", copy=True)

    def read(self, tick: Callable[[], None]) -> list[int]:
        """The tokens; `tick` is called while the device is still busy."""
        while self._event is not None and not self._event.query():
            tick()
            time.sleep(LOOK_AWAY_SECONDS)
        return self._host.tolist()


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
        slots: int,
        page_tokens: int = PAGE_TOKENS,
    ):
        self._module, self._image_processor, self._ops = module, image_processor, ops
        self._slots, self._page_tokens = slots, page_tokens
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
        self._with_graphs = device.type == "cuda" and not has_experts(self._module)
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
        self.rows = Rows(bucket(self._slots), self.text.head.shape[0], columns, device)

    @torch.inference_mode()
    def grow(self, pages: int) -> None:
        """Enlarge the pool. Raises torch.OutOfMemoryError."""
        self._graphs.clear()
        self.pool.grow(pages)

    @torch.inference_mode()
    def read(
        self, chunks: Sequence[Chunk], tick: Callable[[], None], beside: Beside | None = None
    ) -> tuple[Readback | None, Readback | None]:
        """Read pieces of prompts, and give rows that are running a token in the same step.

        Returns:
            the first tokens of jobs that are read to their end, in order, or None without any;
            and the tokens of the running rows, or None without `beside`.
        """
        pool, device = self.pool, self.rows.device
        self._look([chunk.job for chunk in chunks], tick)
        pieces = [chunk.job.tokens(chunk.start, chunk.end) for chunk in chunks]
        hidden = self.text.embed(upload(np.concatenate([ids for ids, _ in pieces]), device))
        positions = upload(np.concatenate([places for _, places in pieces], axis=1), device)
        targets = np.concatenate(
            [token_places(c.job.pages, c.start, c.end, pool.page_tokens) for c in chunks]
        )
        deepstack = self._show(chunks, hidden)
        spans = [Span(c.start, c.end - c.start, c.job.pages) for c in chunks]
        packed = _Packed(
            hidden,
            self.text.rotary(positions),
            upload(targets, device),
            PromptAttention(pool, spans, self.text.dtype),
        )
        count = len(hidden)
        if beside is not None:
            packed = packed.with_rows(*self._begun(self.rows, beside))
        ends = np.cumsum([span.count for span in spans]) - 1
        done = [i for i, chunk in enumerate(chunks) if chunk.end == chunk.job.length]
        running = np.arange(count, len(packed.hidden), dtype=np.int64)
        hidden = self.text.run(
            packed.hidden,
            packed.rotary,
            pool,
            packed.targets,
            packed.attend,
            deepstack,
            tick,
            upload(np.concatenate((ends[done], running)), device),
        )
        tokens = None
        if beside is not None:  # first, as it steps rows on that are not active yet
            self._choose(self.rows, hidden[len(done) :], beside.drawing)
            tokens = Readback(self.rows.ints[: beside.batch, Field.TOKEN])
        return self._start([chunks[i].job for i in done], hidden[: len(done)]), tokens

    def _look(self, jobs: Sequence[Job], tick: Callable[[], None]) -> None:
        """Compute the features of pictures whose tokens are not all cached."""
        wanted = [
            (job, number)
            for job in jobs
            for number, visual in enumerate(job.prepared.visuals)
            if visual.start + visual.tokens > job.cached and number not in job.features
        ]
        visuals = [job.prepared.visuals[number] for job, number in wanted]
        for (job, number), features in zip(wanted, self.vision(visuals, tick), strict=True):
            job.features[number] = features

    def _show(self, chunks: Sequence[Chunk], hidden: torch.Tensor) -> Deepstack | None:
        """Put the features into `hidden` [T, C]; returns those for the layers to come."""
        places, features, at = [], [], 0
        for chunk in chunks:
            for number, visual in enumerate(chunk.job.prepared.visuals):
                first = max(chunk.start, visual.start)
                last = min(chunk.end, visual.start + visual.tokens)
                if first < last:
                    # NumPy 1 on Windows counts in 32 bits, and torch takes 64 as an index.
                    mine = np.arange(first, last, dtype=np.int64)
                    places.append(mine - chunk.start + at)
                    whole = chunk.job.features[number]
                    features.append(whole[:, first - visual.start : last - visual.start])
            at += chunk.end - chunk.start
        if not places:
            return None
        rows = upload(np.concatenate(places), hidden.device)
        levels = torch.cat(features, dim=1).to(hidden.dtype)
        write_at(hidden, 0, rows, levels[0])
        return Deepstack(rows, list(levels[1:]))

    def _start(self, jobs: Sequence[Job], hidden: torch.Tensor) -> Readback | None:
        if not jobs:
            return None
        rows = [job.row for job in jobs if job.row is not None]
        for job, row in zip(jobs, rows, strict=True):
            shift = job.prepared.next_position - job.prepared.length
            self.rows.prepare(row, job.sampling, job.seed, job.draft.token_ids, shift)
        self.rows.set_pages(
            [(row, i, p) for j, row in zip(jobs, rows, strict=True) for i, p in enumerate(j.pages)]
        )
        logits = self.text.logits(hidden)
        drawing = drawing_for(job.sampling for job in jobs)
        return Readback(self.rows.start(rows, [job.length for job in jobs], logits, drawing))

    @torch.inference_mode()
    def decode(self, rows: Beside) -> Readback:
        """One token for each of the first rows."""
        if not self._with_graphs:
            self._decode(self.rows, rows)
            return Readback(self.rows.ints[: rows.batch, Field.TOKEN])
        pages = rows.pages
        if pages is not None:  # few shapes, so few graphs
            pages = min(1 << (pages - 1).bit_length(), self.rows.table.shape[1])
        rows = replace(rows, pages=pages)
        self._graphs.replay(
            rows,
            lambda: self._decode(self.rows, rows),
            lambda: self._decode(self._spare_rows(rows.batch), rows),
        )
        return Readback(self.rows.ints[: rows.batch, Field.TOKEN])

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
        view = DecodeView(pool, rows.table[: which.batch], begun.lengths, which.pages)

        def attend(layer: int, queries: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
            return ops.decode_attention(queries, pool.keys[layer], pool.values[layer], view)

        return begun, attend

    def _decode(self, rows: Rows, which: Beside) -> None:
        begun, attend = self._begun(rows, which)
        hidden = self.text.run(begun.hidden, begun.rotary, self.pool, begun.targets, attend)
        self._choose(rows, hidden, which.drawing)

    def _choose(self, rows: Rows, hidden: torch.Tensor, drawing: Drawing) -> None:
        self._ops.advance(rows, self._ops.choose(rows, self.text.logits(hidden), drawing))
