"""One run of the fast engine: which request is read, stepped, put back or answered, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ...utils.errors import GenerationError, Qwen3VLError
from .jobs import Intake, Job
from .memory import Pages
from .meter import Meter
from .prefix import common
from .protocol import Outcome
from .step import Chunk, Readback, Stepper, bucket

# A shared beginning shorter than this is not worth the copy of a page.
REUSE_FROM = 8
# While prompts are prepared, or a step takes long, the caller gets a turn this often.
TURN_SECONDS = 0.1
# A single request that runs out of memory is tried again with smaller steps, so many times.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """`slots` decode rows; `prompt_tokens` read in one step at most."""

    slots: int
    prompt_tokens: int


class Run:
    """Answers requests; `outcomes` is what `Engine.generate` yields.

    Args:
        stepper: attached to the module.
        intake: the requests.
        make_job: a job for (index, request, prepared, seconds it took); may raise Qwen3VLError.
        pages: hands out KV memory.
        limits: how much at once.
        meter: tells the caller; what that raises ends the run.
        free_memory: called after running out of memory, when nothing is held any more.
    """

    def __init__(
        self,
        stepper: Stepper,
        intake: Intake,
        make_job: Callable[..., Job],
        pages: Pages,
        limits: Limits,
        meter: Meter,
        free_memory: Callable[[], None],
    ):
        self._stepper, self._intake, self._make_job = stepper, intake, make_job
        self._pages, self._meter, self._free_memory = pages, meter, free_memory
        self._slots, self._prompt_tokens = limits.slots, limits.prompt_tokens
        # With a device working on its own the next step is launched before the last is read.
        self._late = 1 if stepper.rows.device.type == "cuda" else 0
        self._waiting: deque[Job] = deque()
        self._reading: list[Job] = []
        self._running: dict[int, Job] = {}  # by row
        self._pending: deque[tuple[Readback, list[tuple[int, Job]]]] = deque()
        self._outcomes: deque[tuple[int, Outcome]] = deque()
        self._told = 0.0

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """All outcomes as they come; nothing is held any more when this ends, however it ends."""
        try:
            while True:
                busy = bool(self._reading or self._running)
                self._intake.fill(2) if busy else self._intake.fill()
                self._tell()
                self._advance()
                while self._outcomes:
                    yield self._outcomes.popleft()
                if not (self._reading or self._running or self._waiting):
                    if self._intake.exhausted and not len(self._intake):
                        return
                    self._intake.wait(TURN_SECONDS)
        finally:
            self._close()

    def _close(self) -> None:
        self._intake.close()
        self._pending.clear()
        for job in [*self._reading, *self._running.values()]:
            self._release(job)
        self._reading.clear()
        self._running.clear()
        if self._stepper.rows is not None:
            with torch.inference_mode():
                self._stepper.rows.reset()

    def _tell(self) -> None:
        self._told = time.perf_counter()
        # The oldest first: its text is the one that is shown.
        jobs = sorted([*self._running.values(), *self._reading], key=lambda job: job.index)
        self._meter.report([job.draft for job in jobs])

    def _tick(self) -> None:
        """A turn for the caller inside of a long step."""
        if time.perf_counter() - self._told >= TURN_SECONDS:
            self._tell()

    def _advance(self) -> None:
        """One prompt step if there is a prompt, one decode step, and what came back by then."""
        out_of_memory = False
        try:
            self._admit()
            self._read_prompts()
            launched = self._decode()
            self._collect(self._late if launched else 0)
        except torch.OutOfMemoryError:
            out_of_memory = True  # recovered below: the exception holds the tensors
        if out_of_memory:
            self._recover()

    # Admission

    def _admit(self) -> None:
        while len(self._reading) + len(self._running) < self._slots:
            job = self._next_job()
            if job is None:
                return
            if not self._place(job):
                if self._reading or self._running:
                    self._waiting.appendleft(job)
                    return
                self._fail(job, _too_large(job.length))

    def _next_job(self) -> Job | None:
        if self._waiting:
            return self._waiting.popleft()
        while (ready := self._intake.ready()) is not None:
            index, request, future = ready
            try:
                prepared, seconds = future.result()
                return self._make_job(index, request, prepared, seconds)
            except Qwen3VLError as error:
                self._meter.finish(0)
                self._outcomes.append((index, error))
        return None

    def _place(self, job: Job) -> bool:
        """Give the job its pages, those of a known beginning first; False if it must wait."""
        content = job.content()
        matched, shared = self._stepper.prefix.longest(content)
        matched = min(matched, job.length - 1)
        # A twin still being read will have cached more of it a moment later.
        twins = (common(other.prepared.content, content) for other in self._reading)
        if max(twins, default=0) >= matched + 2 * self._pages.page_tokens:
            return False
        if matched < REUSE_FROM:
            matched, shared = 0, []
        pages = self._pages.take_after(shared, matched, job.length, len(self._running))
        if pages is None:
            return False
        job.pages, job.cached, job.launched = pages, matched, len(job.draft.token_ids)
        used = {other.row for other in self._reading} | self._running.keys()
        job.row = next(row for row in range(self._slots) if row not in used)
        self._reading.append(job)
        return True

    # Steps

    def _read_prompts(self) -> None:
        left, chunks = self._prompt_tokens, []
        for job in self._reading:
            if count := min(left, job.length - job.cached):
                chunks.append(Chunk(job, job.cached, job.cached + count))
                left -= count
        if not chunks:
            return
        first_tokens = self._stepper.read(chunks, self._tick)
        done = []
        for chunk in chunks:
            job = chunk.job
            job.cached = chunk.end
            if job.cached == job.length and job.row is not None:
                done.append((job.row, job))
        if first_tokens is not None:
            self._pending.append((first_tokens, [(i, job) for i, (_, job) in enumerate(done)]))
        for row, job in done:
            job.launched += 1
            job.features.clear()
            self._reading.remove(job)
            self._running[row] = job
            job.prefix_key = self._stepper.prefix.add(job.content(), job.pages)

    def _decode(self) -> bool:
        """Launch one step for all running jobs; False when none wants a token."""
        self._secure_pages()
        wanting = [job for job in self._running.values() if job.launched < job.draft.limit]
        if not wanting:
            return False
        self._close_ranks()
        batch = bucket(max(self._running) + 1)
        longest = max(job.cached for job in self._running.values()) + 1
        greedy = all(job.sampling.temperature == 0 for job in self._running.values())
        tokens = self._stepper.decode(batch, longest, greedy)
        self._pending.append((tokens, [(j.row, j) for j in wanting if j.row is not None]))
        for job in wanting:
            job.cached += 1
            job.launched += 1
        return True

    def _secure_pages(self) -> None:
        """See that every job has a page for its next token; short of memory, the youngest job
        goes back to the waiting ones, and a job alone is cut off there."""
        fresh: list[tuple[Job, int, int]] = []
        for job in sorted(self._running.values(), key=lambda job: job.index):
            while job.row is not None and self._pages.lacks(job):
                if page := self._pages.take(1):
                    fresh.append((job, len(job.pages), page[0]))
                    job.pages += page
                elif self._pending:
                    self._collect(0)
                elif len(self._running) + len(self._reading) > 1:
                    self._put_back(self._youngest())
                else:
                    job.draft.stopped_by = "length"
                    self._finish([job])
        with torch.inference_mode():
            self._stepper.rows.set_pages(
                [(job.row, column, page) for job, column, page in fresh if job.row is not None]
            )

    def _close_ranks(self) -> None:
        """Move high rows down when that allows a smaller batch."""
        if self._reading:
            return
        while bucket(len(self._running)) < bucket(max(self._running) + 1):
            source = max(self._running)
            target = next(row for row in range(source) if row not in self._running)
            with torch.inference_mode():
                self._stepper.rows.move(source, target)
            job = self._running[target] = self._running.pop(source)
            job.row = target

    # Tokens

    def _collect(self, keep: int) -> None:
        """Read drawn tokens, all but the `keep` newest steps."""
        while len(self._pending) > keep:
            readback, entries = self._pending[0]
            tokens = readback.read(self._tick)
            self._pending.popleft()
            live = [(tokens[at], job) for at, job in entries if job.draft.stopped_by is None]
            finished = [job for token, job in live if job.draft.add(token)]
            if finished:
                self._finish(finished)

    def _finish(self, jobs: list[Job]) -> None:
        rows = [job.row for job in jobs if job.row is not None]
        for job in jobs:
            self._meter.finish(len(job.draft.token_ids))
            self._outcomes.append((job.index, job.draft.reply()))
            content = job.content()
            # The last token was drawn but not read, unless an end token came after it.
            known = content if job.draft.stopped_by == "end" else content[:-1]
            self._stepper.prefix.forget(job.prefix_key)
            self._stepper.prefix.add(known, job.pages)
            if job.row is not None:
                del self._running[job.row]
            self._release(job)
        with torch.inference_mode():
            self._stepper.rows.leave(rows)

    def _fail(self, job: Job, error: Qwen3VLError) -> None:
        self._meter.finish(0)
        self._outcomes.append((job.index, error))

    def _release(self, job: Job) -> None:
        if self._stepper.pool is not None:
            self._stepper.pool.release(job.pages)
        job.pages, job.cached, job.row = [], 0, None
        job.features.clear()

    # Shortage

    def _youngest(self) -> Job:
        return max([*self._reading, *self._running.values()], key=lambda job: job.index)

    def _put_back(self, job: Job) -> None:
        """Let a job wait again; its tokens so far stay and are read like a prompt later."""
        if job in self._reading:
            self._reading.remove(job)
        elif job.row is not None:
            del self._running[job.row]
            with torch.inference_mode():
                self._stepper.rows.leave([job.row])
        self._stepper.prefix.forget(job.prefix_key)
        self._release(job)
        self._waiting.appendleft(job)

    def _recover(self) -> None:
        """After running out of memory: give everything back, and go on with half as much."""
        self._pending.clear()
        jobs = sorted([*self._reading, *self._running.values()], key=lambda job: job.index)
        self._reading.clear()
        self._running.clear()
        for job in jobs:
            job.pages, job.cached, job.row = [], 0, None
            job.features.clear()
            job.prefix_key = None
        self._stepper.drop()
        self._free_memory()
        self._slots = max(1, len(jobs) // 2)
        if len(jobs) <= 1:
            self._prompt_tokens = max(256, self._prompt_tokens // 2)
        if len(jobs) == 1:
            jobs[0].failures += 1
            if jobs[0].failures >= TRIES:
                self._fail(jobs.pop(), _too_large(0))
        self._waiting.extendleft(reversed(jobs))
        self._stepper.attach()
        self._pages.refresh()


def _too_large(tokens: int) -> GenerationError:
    return GenerationError(
        f"Out of memory for one request of {tokens} tokens.",
        "Use smaller pictures (max_pixels), a smaller model, or free memory and try again.",
    )
