"""Captions the pictures of a folder run: read ahead, asked together, written as they finish."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..loaders import comfy_bridge
from ..loaders.engine.protocol import Outcome
from ..loaders.local import LocalModel
from ..utils.caption_run_files import CaptionRun, Done, Job, Wanted
from ..utils.chat import Picture, Progress, Reply, Request
from ..utils.errors import InputError, Qwen3VLError
from ..utils.group_commit import GroupCommit
from ..utils.picture_colours import BACKGROUNDS
from ..utils.picture_files import FileFacts, ReadFile, read_ahead, read_file
from .folder_kinds import Kind
from .running import CUT_OFF, PREVIEW_CHARACTERS, progress_line, run

if TYPE_CHECKING:
    from PIL.Image import Image

# A bad answer is asked for once more with another seed, and then it is a failure.
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer that is being written is for."""

    picture: str
    wanted: Wanted
    facts: FileFacts
    seed: int


@dataclass(slots=True)
class FolderCaptioning:
    """One run: the files, the kinds of captions by variant, and what the node shows of it."""

    files: CaptionRun
    kinds: Mapping[str, Kind]
    folder_name: str
    node_id: str | None
    tokens: int = 0
    _asked: dict[int, Asked] = field(default_factory=dict)
    _pictures: dict[int, Picture] = field(default_factory=dict)
    _last: str = ""
    _last_picture: Picture | None = None  # until it is shown
    _total: int = 0

    def caption(self, model: LocalModel, jobs: Sequence[Job], attempts: int) -> None:
        """Caption what is wanted; bad answers again, until `attempts` have been made."""
        with _committing(self.files) as commit:
            for attempt in range(attempts):
                self._total = sum(len(job.wanted) for job in jobs)
                requests = self._requests(jobs, attempt, commit)
                first = next(requests, None)
                if first is None:  # nothing to ask needs no model
                    return
                outcomes = run(
                    model, chain([first], requests), self._total, self.node_id, self._show
                )
                with closing(outcomes), closing(requests):
                    jobs = self._enter_all(outcomes, attempt == attempts - 1, commit)

    def try_out(self, jobs: Sequence[Job]) -> None:
        """A dry run: every picture is read, and nothing is asked or written."""
        bar = comfy_bridge.ProgressBar(len(jobs), self.node_id)
        for number, (job, read) in enumerate(read_ahead(jobs, self._read), 1):
            comfy_bridge.check_interrupt()
            bar.show(number)
            if isinstance(read, InputError):
                self.files.fail(job.picture, job.wanted, read)
                continue
            ask, done = self.files.settle(job, read.facts)
            for wanted in [*ask, *(one.wanted for one in done)]:
                self.files.plan(job.picture, wanted)

    def _requests(
        self, jobs: Sequence[Job], attempt: int, commit: GroupCommit[Done]
    ) -> Generator[Request, None, None]:
        """Requests for the pictures that can be read and are not captioned by what is known."""
        self._asked.clear()
        self._pictures.clear()
        number = 0
        for job, read in read_ahead(jobs, self._read):
            comfy_bridge.check_interrupt()  # a thousand known pictures in a row ask for nothing
            if self.files.hopeless:
                problem = InputError(
                    "It was not asked about: captions can no longer be written.",
                    "Make room or allow writing, then run again.",
                )
                self.files.fail(job.picture, job.wanted, problem)
                continue
            if isinstance(read, InputError):
                self.files.fail(job.picture, job.wanted, read)
                continue
            ask, done = self.files.settle(job, read.facts)
            for one in done:
                commit.put(one)
            for wanted in ask:
                kind = self.kinds[wanted.recipe.variant]
                seed = kind.seed_for(read.facts.digest, attempt)
                self._asked[number] = Asked(job.picture, wanted, read.facts, seed)
                self._pictures[number] = read.picture
                yield kind.request(read.picture, seed)
                number += 1

    def _read(self, job: Job) -> ReadFile:
        background = next(iter(self.kinds.values())).asking.background
        return read_file(self.files.path(job.picture), BACKGROUNDS[background])

    def _enter_all(
        self, outcomes: Iterable[tuple[int, Outcome]], last: bool, commit: GroupCommit[Done]
    ) -> list[Job]:
        """Write or enter every outcome; what to ask once more, unless this was the last time."""
        again: list[Job] = []
        for index, outcome in outcomes:
            asked, picture = self._asked.pop(index), self._pictures.pop(index)
            problem = _problem(outcome)
            if isinstance(outcome, Reply):
                self.tokens += outcome.tokens
            if isinstance(outcome, Reply) and problem is None:
                self._last, self._last_picture = f"{asked.picture}: {outcome.text}", picture
                commit.put(self._done(asked, outcome))
            elif isinstance(outcome, Reply) and not last:
                again.append(Job(asked.picture, (asked.wanted,)))
            elif problem is not None:
                self.files.fail(asked.picture, (asked.wanted,), problem)
        return again

    def _done(self, asked: Asked, reply: Reply) -> Done:
        folder = PurePosixPath(asked.picture).parent.name or self.folder_name
        text = asked.wanted.recipe.wording.caption(reply.text, folder)
        note = CUT_OFF.get(reply.stopped_by, "").strip("; ")
        facts = {"seed": asked.seed, "stopped_by": reply.stopped_by}
        return Done(asked.picture, asked.wanted, asked.facts, text, note, facts)

    def _show(self, progress: Progress) -> tuple[str, Image | None]:
        """The line on the run, and the last picture with its caption."""
        from PIL import Image

        failed = self.files.ledger.count("failed")
        line = progress_line(progress, self._total) + (f", {failed} failed" if failed else "")
        text = f"{line}\n{self._last[:PREVIEW_CHARACTERS]}" if self._last else line
        picture, self._last_picture = self._last_picture, None
        return text, Image.fromarray(picture.pixels) if picture else None


@contextmanager
def _committing(files: CaptionRun) -> Iterator[GroupCommit[Done]]:
    """Captions handed over are written, also when the run is stopped."""
    commit = GroupCommit(files.write)
    try:
        yield commit
    finally:
        commit.close()


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
