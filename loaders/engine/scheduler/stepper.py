"""Runs prompt steps and decode steps on one module, and owns every buffer they need."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..model.attention import PromptAttention, Span, token_places
from ..model.layers import fingerprint, has_experts
from ..model.text_tower import Deepstack, TextModel
from ..model.torch_ops import DecodeView, TorchOps, write_at
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
    def read(self, chunks: Sequence[Chunk], tick: Callable[[], None]) -> Readback | None:
        """Read pieces of prompts; jobs that are read to the end get their first token.

        Returns:
            the first tokens of those jobs in order, or None without any.
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
        hidden = self.text.run(
            hidden,
            self.text.rotary(positions),
            pool,
            upload(targets, device),
            PromptAttention(pool, spans, self.text.dtype),
            deepstack,
            tick,
        )
        return self._start(chunks, hidden)

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

    def _start(self, chunks: Sequence[Chunk], hidden: torch.Tensor) -> Readback | None:
        ends = np.cumsum([chunk.end - chunk.start for chunk in chunks]) - 1
        done = [i for i, chunk in enumerate(chunks) if chunk.end == chunk.job.length]
        if not done:
            return None
        jobs = [chunks[i].job for i in done]
        logits = self.text.logits(hidden[upload(ends[done], hidden.device)])
        rows = [job.row for job in jobs if job.row is not None]
        for job, row in zip(jobs, rows, strict=True):
            shift = job.prepared.next_position - job.prepared.length
            self.rows.prepare(row, job.sampling, job.seed, job.draft.token_ids, shift)
        self.rows.set_pages(
            [(row, i, p) for j, row in zip(jobs, rows, strict=True) for i, p in enumerate(j.pages)]
        )
        return Readback(
            self.rows.start(
                rows,
                [job.length for job in jobs],
                logits,
                drawing_for(job.sampling for job in jobs),
            )
        )

    @torch.inference_mode()
    def decode(self, batch: int, longest: int, drawing: Drawing) -> Readback:
        """One token for each of the first `batch` rows.

        Args:
            batch: a bucket.
            longest: cached tokens of the longest row, the one to be read included.
            drawing: how much of the vocabulary the rows draw from.
        """
        pages = self.pool.pages_for(longest) if self._ops.needs_page_count else None
        if not self._with_graphs:
            self._decode(self.rows, batch, pages, drawing)
            return Readback(self.rows.ints[:batch, Field.TOKEN])
        if pages is not None:  # few shapes, so few graphs
            pages = min(1 << (pages - 1).bit_length(), self.rows.table.shape[1])
        self._graphs.replay(
            (batch, pages, drawing),
            lambda: self._decode(self.rows, batch, pages, drawing),
            lambda: self._decode(self._spare_rows(batch), batch, pages, drawing),
        )
        return Readback(self.rows.ints[:batch, Field.TOKEN])

    def _spare_rows(self, batch: int) -> Rows:
        columns = self.rows.table.shape[1]
        return Rows(batch, self.rows.seen.shape[1], columns, self.rows.device)

    def _decode(self, rows: Rows, batch: int, pages: int | None, drawing: Drawing) -> None:
        pool, ops = self.pool, self._ops
        begun = ops.begin(self.text, rows, batch, pool.page_tokens)
        view = DecodeView(pool, rows.table[:batch], begun.lengths, pages)
        hidden = self.text.run(
            begun.hidden,
            begun.rotary,
            pool,
            begun.targets,
            lambda layer, queries, *_: ops.decode_attention(
                queries, pool.keys[layer], pool.values[layer], view
            ),
        )
        ops.advance(rows, ops.choose(rows, self.text.logits(hidden), drawing))
