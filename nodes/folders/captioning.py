"""Captions the pictures of a folder run: read ahead, asked together, written as they finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from ...loaders.engine.protocol import Model, Outcome
from ...loaders.host.port import host
from ...utils.captions.recipe import Slot
from ...utils.chat.requests import Progress, Reply, Request
from ...utils.dataset.jobs import Done, Job, Wanted
from ...utils.dataset.run import CaptionRun
from ...utils.errors import InputError, Qwen3VLError, TooLargeError
from ...utils.files.group_commit import GroupCommit
from ...utils.files.picture_reader import FileFacts, ReadFile, read_ahead, read_file
from ...utils.images.color import BACKGROUNDS
from ...utils.images.picture import Picture
from ..running import CUT_OFF, run
from ..streaming import progress_line
from .kinds import Kind

if TYPE_CHECKING:
    from PIL.Image import Image

# A bad answer is asked for once more with another seed, and then it is a failure.
ATTEMPTS = 2
# A picture too large for the memory is asked about again with half its pixels, so many times.
HALVINGS = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer that is being written is for, and the picture while it is."""

    wanted: Wanted
    facts: FileFacts
    seed: int
    picture: str
    shown: Picture

    @property
    def slot(self) -> Slot:
        """The place of the caption."""
        return Slot(self.picture, self.wanted.recipe.variant)


@dataclass(slots=True)
class FolderCaptioning:
    """One run: the files, the kinds of captions by variant, and what the node shows of it."""

    files: CaptionRun
    kinds: Mapping[str, Kind]
    node_id: str | None
    tokens: int = 0
    _asked: dict[int, Asked] = field(default_factory=dict)
    # How often a caption was asked for again: with another seed, and with half the pixels.
    _reseeded: Counter[Slot] = field(default_factory=Counter)
    _halved: Counter[Slot] = field(default_factory=Counter)
    _last_picture: Picture | None = None  # until it is shown
    _total: int = 0

    def caption(self, model: Model, jobs: Sequence[Job], attempts: int) -> None:
        """Caption what is wanted; a bad answer is asked for again until it had `attempts`."""
        with _committing(self.files) as commit:
            while jobs:
                self._total = sum(len(job.wanted) for job in jobs)
                requests = self._requests(jobs, commit)
                first = next(requests, None)
                if first is None:  # nothing to ask needs no model
                    return
                outcomes = run(
                    model,
                    chain([first], requests),
                    self._total,
                    self.node_id,
                    self._show,
                    self._title,
                )
                with closing(outcomes), closing(requests):
                    jobs = self._enter_all(outcomes, attempts, commit)

    def try_out(self, jobs: Sequence[Job]) -> None:
        """A dry run: every picture is read, and nothing is asked or written."""
        bar = host().progress_bar(len(jobs), self.node_id)
        with closing(read_ahead(jobs, self._read)) as pictures:
            for number, (job, read) in enumerate(pictures, 1):
                host().check_interrupt()
                bar.show(number)
                if isinstance(read, InputError):
                    self.files.fail(job.picture, job.wanted, read)
                    continue
                ask, done = self.files.settle(job, read.facts)
                for wanted in [*ask, *(one.wanted for one in done)]:
                    self.files.plan(job.picture, wanted)

    def _requests(
        self, jobs: Sequence[Job], commit: GroupCommit[Done]
    ) -> Generator[Request, None, None]:
        """Requests for the pictures that can be read and are not captioned by what is known."""
        self._asked.clear()
        number = 0
        # Closed at once: an exception keeps this frame, and with it what has been read.
        with closing(read_ahead(jobs, self._read)) as pictures:
            for job, read in pictures:
                host().check_interrupt()  # a thousand known pictures in a row ask nothing
                if isinstance(read, InputError) or self.files.hopeless:
                    error = read if isinstance(read, InputError) else _hopeless()
                    self.files.fail(job.picture, job.wanted, error)
                    continue
                ask, done = self.files.settle(job, read.facts)
                for one in done:
                    commit.put(one)
                for wanted in ask:
                    self._asked[number] = asked = self._asked_for(job, wanted, read)
                    kind = self.kinds[wanted.recipe.variant]
                    yield kind.request(read.picture, asked.seed, self._halved[asked.slot])
                    number += 1

    def _asked_for(self, job: Job, wanted: Wanted, read: ReadFile) -> Asked:
        tries = self._reseeded[Slot(job.picture, wanted.recipe.variant)]
        seed = self.kinds[wanted.recipe.variant].seed_for(read.facts.digest, tries)
        return Asked(wanted, read.facts, seed, job.picture, read.picture)

    def _read(self, job: Job) -> ReadFile:
        if self.files.hopeless:
            raise _hopeless()
        background = next(iter(self.kinds.values())).asking.background
        return read_file(self.files.path(job.picture), BACKGROUNDS[background])

    def _enter_all(
        self, outcomes: Iterable[tuple[int, Outcome]], attempts: int, commit: GroupCommit[Done]
    ) -> list[Job]:
        """Write or enter every outcome; what is to be asked once more."""
        again: list[Job] = []
        for index, outcome in outcomes:
            asked = self._asked.pop(index)
            problem = _problem(outcome)
            if problem is None and isinstance(outcome, Reply):
                problem = self.kinds[asked.wanted.recipe.variant].misfit(outcome.text)
            if isinstance(outcome, Reply):
                self.tokens += outcome.tokens
            if isinstance(outcome, Reply) and problem is None:
                self._last_picture = asked.shown
                self._hand_over(self._done(asked, outcome), commit)
            elif self._may_ask_again(asked.slot, outcome, attempts):
                again.append(Job(asked.picture, (asked.wanted,)))
            elif problem is not None:
                self.files.fail(asked.picture, (asked.wanted,), problem)
        return again

    def _hand_over(self, done: Done, commit: GroupCommit[Done]) -> None:
        if done.text.strip():
            commit.put(done)
            return
        problem = InputError("Nothing is left of the answer.", "Look at replace.")
        self.files.fail(done.picture, (done.wanted,), problem)

    def _may_ask_again(self, slot: Slot, outcome: Outcome, attempts: int) -> bool:
        """Count one more try of what failed, unless it had its tries."""
        if isinstance(outcome, Reply) and self._reseeded[slot] < attempts - 1:
            self._reseeded[slot] += 1
        elif isinstance(outcome, TooLargeError) and self._halved[slot] < HALVINGS:
            self._halved[slot] += 1
        else:
            return False
        return True

    def _done(self, asked: Asked, reply: Reply) -> Done:
        folder = self.files.folder_name(asked.picture)
        text = asked.wanted.recipe.wording.caption(reply.text, folder)
        notes = [CUT_OFF.get(reply.stopped_by, "").strip("; ")]
        if halved := self._halved[asked.slot]:
            notes.append(f"seen with 1/{2**halved} of its pixels, for want of memory")
        note = "; ".join(filter(None, notes))
        facts = {"seed": asked.seed, "stopped_by": reply.stopped_by}
        return Done(asked.picture, asked.wanted, asked.facts, text, note, facts)

    def _show(self, progress: Progress) -> tuple[str, Image | None]:
        """The line on the run, and the last picture that was captioned."""
        from PIL import Image

        failed = self.files.ledger.count("failed")
        line = progress_line(progress, self._total) + (f", {failed} failed" if failed else "")
        picture, self._last_picture = self._last_picture, None
        return line, Image.fromarray(picture.pixels) if picture else None

    def _title(self, index: int) -> str:
        """Whose caption is being written."""
        return self._asked[index].slot.label


@contextmanager
def _committing(files: CaptionRun) -> Iterator[GroupCommit[Done]]:
    """Captions handed over are written, also when the run is stopped."""
    commit = GroupCommit(files.write)
    try:
        yield commit
    except BaseException:
        with suppress(Exception):  # what stopped the run, such as an interrupt, is what is said
            commit.close()
        raise
    commit.close()


def _hopeless() -> InputError:
    return InputError(
        "It was not asked about: captions can no longer be written.",
        "Make room or allow writing, then run again.",
    )


def _problem(outcome: Outcome) -> Qwen3VLError | None:
    """Why an outcome is no caption; None when it is one."""
    if isinstance(outcome, Qwen3VLError):
        return outcome
    if outcome.stopped_by == "repetition":
        remedy = "Raise presence_penalty, or use another prompt or seed."
        return InputError("The answer repeats itself without end.", remedy)
    if outcome.text:
        return None
    if outcome.stopped_by == "stop_string":
        problem = "The answer has no text before a stop text of the options."
        return InputError(problem, "Take that text out of stop.")
    used = f"{outcome.tokens} tokens went into thinking" if outcome.thinking else "it is empty"
    remedy = "Raise max_new_tokens, or use another prompt or seed."
    return InputError(f"The answer has no text: {used}.", remedy)
