"""One run of the fast engine: which request is read, stepped, put back or answered, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from ....utils.errors import Qwen3VLError
from ...host.out_of_memory import is_out_of_memory
from ..protocol import Outcome
from ..request.draft import too_large
from ..request.intake import Intake
from ..request.phrasebook import Phrasebook
from ..request.sequence import Sequence
from ..state.prefix import common
from ..state.sampler import drawing_for
from .board import Board
from .lookahead import Lookahead
from .meter import Meter
from .pages import Pages
from .passages import next_passages
from .readback import Readback
from .stepper import Beside, Stepper, bucket

# A shared beginning shorter than this is not worth the copy of a page.
REUSE_FROM = 8
# While prompts are prepared, or a step takes long, the caller gets a turn this often.
TURN_SECONDS = 0.1
# A single request that runs out of memory is tried again with smaller steps, so many times.
TRIES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """`most_rows` in a batch; `prompt_tokens` read in one step at most."""

    most_rows: int
    prompt_tokens: int


class Run:
    """Answers requests; `outcomes` is what `Engine.generate` yields.

    Args:
        stepper: attached to the module.
        intake: the requests.
        begin: a sequence for (index, request, prepared, seconds it took); may raise Qwen3VLError.
        pages: hands out KV memory.
        limits: how much at once.
        meter: tells the caller; what that raises ends the run.
        free_memory: called after running out of memory, when nothing is held any more.
        phrasebook: where tokens are looked up before they are drawn; None where that costs more.
    """

    def __init__(
        self,
        stepper: Stepper,
        intake: Intake,
        begin: Callable[..., Sequence],
        pages: Pages,
        limits: Limits,
        meter: Meter,
        free_memory: Callable[[], None],
        phrasebook: Phrasebook | None,
    ):
        self._stepper, self._intake, self._begin = stepper, intake, begin
        self._pages, self._free_memory = pages, free_memory
        self._board = Board(stepper, meter, phrasebook)
        self._lookahead = Lookahead(stepper, self._board, phrasebook)
        self._most_rows, self._prompt_tokens = limits.most_rows, limits.prompt_tokens
        # With a device working on its own the next step is launched before the last is read.
        self._late = 1 if stepper.rows.device.type == "cuda" else 0
        # A step's drawn tokens, and whose they are: (place among them, sequence).
        self._pending: deque[list[tuple[Readback, list[tuple[int, Sequence]]]]] = deque()
        self._told = 0.0

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        """All outcomes as they come; nothing is held any more when this ends, however it ends."""
        board = self._board
        try:
            while True:
                self._tell()
                keep = self._late if self._guarded(self._launch) else 0
                self._intake.fill()  # the caller's own work, while the device does its
                self._guarded(partial(self._collect, keep))
                while board.outcomes:
                    yield board.outcomes.popleft()
                if not (board.at_work() or board.waiting):
                    if self._intake.exhausted and not len(self._intake):
                        return
                    self._intake.wait(TURN_SECONDS)
        finally:
            self._intake.close()
            self._pending.clear()
            board.clear()

    def _tell(self) -> None:
        self._told = time.perf_counter()
        self._board.report()

    def _tick(self) -> None:
        """A turn for the caller inside of a long step."""
        if time.perf_counter() - self._told >= TURN_SECONDS:
            self._tell()

    def _guarded(self, work: Callable[[], bool]) -> bool:
        """Do it; out of memory, put everything back and return False."""
        out_of_memory = False
        try:
            return work()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = True  # recovered below: the exception holds the tensors
        if out_of_memory:
            self._recover()
        return False

    def _launch(self) -> bool:
        """One step: pieces of prompts, a token for each running row, or both, or several tokens
        for one that runs alone; False without any.
        """
        self._admit()
        self._secure_pages()
        if (ahead := self._lookahead.step(partial(self._collect, 0), self._tick)) is not None:
            sequence, tokens = ahead
            for token in tokens:
                self._board.take([(token, sequence)])
            return True
        passages = next_passages(self._board.reading, self._prompt_tokens)
        running = self._board.running
        wanting = [one for one in running.values() if one.launched < one.draft.horizon]
        if not (passages or wanting):
            return False
        first, tokens = None, None
        beside = self._beside() if wanting else None
        entries = [(one.row, one) for one in wanting if one.row is not None]
        if passages:
            first, tokens = self._stepper.read(passages, self._tick, beside)
        elif beside is not None:
            tokens = self._stepper.decode(beside, self._tick)
        step = [(tokens, entries)] if tokens is not None else []
        for one in wanting:
            one.cached += 1
            one.launched += 1
        done = self._board.have_read(passages)
        if first is not None:
            step.append((first, list(enumerate(done))))
        self._pending.append(step)
        return True

    def _admit(self) -> None:
        board = self._board
        while len(board.at_work()) < self._most_rows and (sequence := self._next()) is not None:
            if not self._place(sequence):
                if board.at_work():
                    board.waiting.appendleft(sequence)
                    return
                board.fail(sequence.index, too_large(sequence.length))

    def _next(self) -> Sequence | None:
        if self._board.waiting:
            return self._board.waiting.popleft()
        while (ready := self._intake.ready()) is not None:
            index, request, future = ready
            try:
                prepared, seconds = future.result()
                return self._begin(index, request, prepared, seconds)
            except Qwen3VLError as error:
                self._board.fail(index, error)
        return None

    def _place(self, sequence: Sequence) -> bool:
        """Give the sequence its pages, those of a known beginning first; False if it must wait."""
        content = sequence.content()
        matched, shared = self._stepper.prefix.longest(content)
        matched = min(matched, sequence.length - 1)
        # A twin still being read will have cached more of it a moment later.
        twins = (common(other.prepared.content, content) for other in self._board.reading)
        if max(twins, default=0) >= matched + 2 * self._pages.page_tokens:
            return False
        if matched < REUSE_FROM:
            matched, shared = 0, []
        spare = len(self._board.running)
        pages = self._pages.take_after(shared, matched, sequence.length, spare)
        if pages is None:
            return False
        sequence.pages, sequence.cached = pages, matched
        sequence.launched = len(sequence.draft.token_ids)
        self._board.seat(sequence)
        return True

    def _beside(self) -> Beside:
        """The running rows, as the next step takes them."""
        self._board.close_ranks()
        running = self._board.running
        longest = max(one.cached for one in running.values()) + 1
        drawing = drawing_for(one.sampling for one in running.values())
        return self._stepper.beside(bucket(max(running) + 1), longest, drawing)

    def _secure_pages(self) -> None:
        """See that every sequence has a page for its next token; short of memory, the youngest
        goes back to the waiting ones, and one alone is cut off there.
        """
        board, fresh = self._board, []
        for sequence in sorted(board.running.values(), key=lambda sequence: sequence.index):
            while sequence.row is not None and self._pages.lacks(sequence):
                if page := self._pages.take(1):
                    fresh.append((sequence, len(sequence.pages), page[0]))
                    sequence.pages += page
                elif self._pending:
                    self._collect(0)
                elif len(board.at_work()) > 1:
                    board.put_back(board.at_work()[-1])
                else:
                    sequence.draft.stopped_by = "memory"
                    board.finish([sequence])
        with torch.inference_mode():
            self._stepper.rows.set_pages(
                [(one.row, column, page) for one, column, page in fresh if one.row is not None]
            )

    def _collect(self, keep: int) -> bool:
        """Read drawn tokens, all but those of the `keep` newest steps."""
        while len(self._pending) > keep:
            step = self._pending[0]
            while step:
                readback, entries = step[0]
                tokens = readback.read(self._tick)
                step.pop(0)
                self._board.take([(tokens[at], sequence) for at, sequence in entries])
            self._pending.popleft()
        return True

    def _recover(self) -> None:
        """After running out of memory: give everything back, and go on with half as much."""
        self._pending.clear()
        sequences = self._board.clear()
        self._stepper.drop()
        self._free_memory()
        self._most_rows = max(1, len(sequences) // 2)
        if len(sequences) == 1:
            self._prompt_tokens = max(256, self._prompt_tokens // 2)
            sequences[0].failures += 1
            if sequences[0].failures >= TRIES:
                sequence = sequences.pop()
                self._board.fail(sequence.index, too_large(sequence.length))
        self._board.waiting.extendleft(reversed(sequences))
        self._stepper.attach()
        self._pages.refresh()
