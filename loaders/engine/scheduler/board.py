"""Where every job of a run stands: waiting, being read, running, answered."""

from __future__ import annotations

from collections import deque

import torch

from ....utils.errors import Qwen3VLError
from ..protocol import Outcome
from ..request.intake import Job
from .meter import Meter
from .stepper import Stepper, bucket


class Board:
    """Moves jobs from state to state, and their rows and pages with them."""

    def __init__(self, stepper: Stepper, meter: Meter):
        self._stepper, self._meter = stepper, meter
        self.waiting: deque[Job] = deque()
        self.reading: list[Job] = []
        self.running: dict[int, Job] = {}  # by row
        self.outcomes: deque[tuple[int, Outcome]] = deque()

    def at_work(self) -> list[Job]:
        """Jobs that hold a row, in the order of their requests."""
        jobs = [*self.running.values(), *self.reading]
        return sorted(jobs, key=lambda job: job.index)

    def report(self) -> None:
        """Tell the caller, whose callback may raise; the oldest text is the one shown."""
        self._meter.report({job.index: job.draft for job in self.at_work()})

    def seat(self, job: Job) -> None:
        """Give a job with pages the lowest free row; it is read next."""
        used = {other.row for other in self.reading} | self.running.keys()
        job.row = next(row for row in range(len(used) + 1) if row not in used)
        self.reading.append(job)

    def run(self, job: Job, row: int) -> None:
        """A job is read to its end: its first token is drawn, and its prompt is remembered."""
        job.launched += 1
        job.features.clear()
        self.reading.remove(job)
        self.running[row] = job
        job.prefix_key = self._stepper.prefix.add(job.content(), job.pages)

    def finish(self, jobs: list[Job]) -> None:
        """These jobs are complete; what they cached stays known as long as there is room."""
        rows = [job.row for job in jobs if job.row is not None]
        for job in jobs:
            self._meter.finish(len(job.draft.token_ids))
            self.outcomes.append((job.index, job.draft.outcome()))
            self._stepper.prefix.forget(job.prefix_key)
            if not job.draft.broken:
                content = job.content()
                # The last token was drawn but not read, unless an end token came after it.
                known = content if job.draft.stopped_by == "end" else content[:-1]
                self._stepper.prefix.add(known, job.pages)
            if job.row is not None:
                del self.running[job.row]
            self._release(job)
        self._leave(rows)

    def fail(self, index: int, error: Qwen3VLError) -> None:
        """This request is answered with an error."""
        self._meter.finish(0)
        self.outcomes.append((index, error))

    def put_back(self, job: Job) -> None:
        """Let a job wait again; its tokens so far stay and are read like a prompt later."""
        if job in self.reading:
            self.reading.remove(job)
        elif job.row is not None:
            del self.running[job.row]
            self._leave([job.row])
        self._stepper.prefix.forget(job.prefix_key)
        self._release(job)
        self.waiting.appendleft(job)

    def read_on(self, job: Job, tokens: list[int]) -> None:
        """Go on with a reply after these tokens, which nobody drew: they are read like a prompt,
        and what is cached already is found again by its content.
        """
        content = job.content()[:-1]  # the last token was drawn but not read
        self._stepper.prefix.forget(job.prefix_key)
        self._stepper.prefix.add(content, job.pages)
        job.draft.token_ids += tokens
        if job.row is not None:
            del self.running[job.row]
            self._leave([job.row])
        self._release(job)
        self.waiting.appendleft(job)

    def close_ranks(self) -> None:
        """Move high rows down when that allows a smaller batch."""
        if self.reading:
            return
        while bucket(len(self.running)) < bucket(max(self.running) + 1):
            source = max(self.running)
            target = next(row for row in range(source) if row not in self.running)
            with torch.inference_mode():
                self._stepper.rows.move(source, target)
            job = self.running[target] = self.running.pop(source)
            job.row = target

    def clear(self) -> list[Job]:
        """Take every job off its row and pages; returns them."""
        jobs = self.at_work()
        self.reading.clear()
        self.running.clear()
        for job in jobs:
            self._release(job)
        if self._stepper.rows is not None:
            with torch.inference_mode():
                self._stepper.rows.reset()
        return jobs

    def _leave(self, rows: list[int]) -> None:
        with torch.inference_mode():
            self._stepper.rows.leave(rows)

    def _release(self, job: Job) -> None:
        if self._stepper.pool is not None:
            freed = self._stepper.pool.release(job.pages)
            if job.draft.broken:  # the next owner's masked sums would be NaN too
                with torch.inference_mode():
                    self._stepper.pool.wipe(freed)
        job.pages, job.cached, job.row, job.prefix_key = [], 0, None, None
        job.features.clear()
