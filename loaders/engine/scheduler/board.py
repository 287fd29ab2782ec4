"""Where every sequence of a run stands: waiting, being read, running, answered."""

from __future__ import annotations

from collections import deque

import torch

from ....utils.errors import Qwen3VLError
from ..protocol import Outcome
from ..request.phrasebook import Phrasebook
from ..request.sequence import Sequence
from .meter import Meter
from .passages import Passage
from .stepper import Stepper, bucket


class Board:
    """Moves sequences from state to state, and their rows and pages with them."""

    def __init__(self, stepper: Stepper, meter: Meter, phrasebook: Phrasebook | None):
        self._stepper, self._meter, self._phrasebook = stepper, meter, phrasebook
        self.waiting: deque[Sequence] = deque()
        self.reading: list[Sequence] = []
        self.running: dict[int, Sequence] = {}  # by row
        self.outcomes: deque[tuple[int, Outcome]] = deque()

    def at_work(self) -> list[Sequence]:
        """Sequences that hold a row, in the order of their requests."""
        sequences = [*self.running.values(), *self.reading]
        return sorted(sequences, key=lambda sequence: sequence.index)

    def report(self) -> None:
        """Tell the caller, whose callback may raise; the oldest text is the one shown."""
        self._meter.report({sequence.index: sequence.draft for sequence in self.at_work()})

    def seat(self, sequence: Sequence) -> None:
        """Give a sequence with pages the lowest free row; it is read next."""
        used = {other.row for other in self.reading} | self.running.keys()
        sequence.row = next(row for row in range(len(used) + 1) if row not in used)
        self.reading.append(sequence)

    def run(self, sequence: Sequence, row: int) -> None:
        """A sequence is read to its end: its first token is drawn, and its prompt is remembered."""
        sequence.launched += 1
        sequence.features.clear()
        self.reading.remove(sequence)
        self.running[row] = sequence
        sequence.prefix_key = self._stepper.prefix.add(sequence.content(), sequence.pages)

    def have_read(self, passages: list[Passage]) -> list[Sequence]:
        """Account for passages that are being read; the sequences that run from now on."""
        done = []
        for passage in passages:
            sequence = passage.sequence
            sequence.cached = passage.end
            if passage.end == sequence.length and sequence.row is not None:
                done.append(sequence)
                self.run(sequence, sequence.row)
        return done

    def take(self, drawn: list[tuple[int, Sequence]]) -> None:
        """Add these tokens to their replies, which may be complete or have to go on otherwise."""
        live = [(token, sequence) for token, sequence in drawn if sequence.draft.stopped_by is None]
        if finished := [sequence for token, sequence in live if sequence.draft.add(token)]:
            self.finish(finished)
        for _, sequence in live:
            if sequence.draft.paused and sequence.draft.stopped_by is None:
                self.read_on(sequence, sequence.draft.close_thinking())

    def finish(self, sequences: list[Sequence]) -> None:
        """These sequences are complete; what they cached stays known as long as there is room."""
        rows = [sequence.row for sequence in sequences if sequence.row is not None]
        for sequence in sequences:
            self._meter.finish(len(sequence.draft.token_ids))
            self.outcomes.append((sequence.index, sequence.draft.outcome()))
            self._stepper.prefix.forget(sequence.prefix_key)
            if not sequence.draft.broken:
                if self._phrasebook is not None:
                    self._phrasebook.hear(sequence.prepared, sequence.draft)
                content = sequence.content()
                # The last token was drawn but not read, unless an end token came after it.
                known = content if sequence.draft.stopped_by == "end" else content[:-1]
                self._stepper.prefix.add(known, sequence.pages)
            if sequence.row is not None:
                del self.running[sequence.row]
            self._release(sequence)
        self._leave(rows)

    def fail(self, index: int, error: Qwen3VLError) -> None:
        """This request is answered with an error."""
        self._meter.finish(0)
        self.outcomes.append((index, error))

    def put_back(self, sequence: Sequence) -> None:
        """Let a sequence wait again; its tokens so far stay and are read like a prompt later."""
        if sequence in self.reading:
            self.reading.remove(sequence)
        elif sequence.row is not None:
            del self.running[sequence.row]
            self._leave([sequence.row])
        self._stepper.prefix.forget(sequence.prefix_key)
        self._release(sequence)
        self.waiting.appendleft(sequence)

    def read_on(self, sequence: Sequence, tokens: list[int]) -> None:
        """Go on with a reply after these tokens, which nobody drew: they are read like a prompt,
        and what is cached already is found again by its content.
        """
        content = sequence.content()[:-1]  # the last token was drawn but not read
        self._stepper.prefix.forget(sequence.prefix_key)
        self._stepper.prefix.add(content, sequence.pages)
        sequence.draft.token_ids += tokens
        if sequence.row is not None:
            del self.running[sequence.row]
            self._leave([sequence.row])
        self._release(sequence)
        self.waiting.appendleft(sequence)

    def close_ranks(self) -> None:
        """Move high rows down when that allows a smaller batch."""
        if self.reading:
            return
        while bucket(len(self.running)) < bucket(max(self.running) + 1):
            source = max(self.running)
            target = next(row for row in range(source) if row not in self.running)
            with torch.inference_mode():
                self._stepper.rows.move(source, target)
            sequence = self.running[target] = self.running.pop(source)
            sequence.row = target

    def clear(self) -> list[Sequence]:
        """Take every sequence off its row and pages; returns them."""
        sequences = self.at_work()
        self.reading.clear()
        self.running.clear()
        for sequence in sequences:
            self._release(sequence)
        if self._stepper.rows is not None:
            with torch.inference_mode():
                self._stepper.rows.reset()
        return sequences

    def _leave(self, rows: list[int]) -> None:
        with torch.inference_mode():
            self._stepper.rows.leave(rows)

    def _release(self, sequence: Sequence) -> None:
        if self._stepper.pool is not None:
            freed = self._stepper.pool.release(sequence.pages)
            if sequence.draft.broken:  # the next owner's masked sums would be NaN too
                with torch.inference_mode():
                    self._stepper.pool.wipe(freed)
        sequence.pages, sequence.cached, sequence.row, sequence.prefix_key = [], 0, None, None
        sequence.features.clear()
