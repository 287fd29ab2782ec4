"""Captions the files of a folder run: read ahead, asked together, written as they finish."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain, count, groupby

from ..captions.record import Question, Record
from ..chat.requests import CUT_OFF, Outcome, Reply, Request
from ..errors import InputError, Qwen3VLError, TooLargeError
from ..files.group_commit import GroupCommit
from ..files.read_ahead import read_ahead
from ..images.picture import Clip, Picture
from ..text.printable import on_one_line
from .medium import Media, Subject
from .run import CaptionRun

# A bad answer is asked for once more with another seed, and then it is a failure.
ATTEMPTS = 2
# A picture too large for the memory is asked about again with half its pixels, so many times.
HALVINGS = 2
# Requests and how many there may be; outcomes by the number of their request, as they finish.
Generate = Callable[[Iterable[Request], int], Generator[tuple[int, Outcome], None, None]]


@dataclass(slots=True)
class Captioning:
    """One run: its files, the sorts of them, and what may be shown of it while it goes on.

    `check_interrupt` is called between steps and may raise, to stop: what is finished by then
    is written. `last_picture` is what was captioned last, until somebody takes it.
    """

    files: CaptionRun
    media: Media
    check_interrupt: Callable[[], None]
    tokens: int = 0
    last_picture: Picture | None = None
    _asked: dict[int, tuple[Record, Question, Picture | None]] = field(default_factory=dict)

    def caption(self, wanted: Sequence[Record], generate: Generate, attempts: int) -> None:
        """Caption what is wanted; a bad answer is asked for again until it had `attempts`."""
        with _committing(self.files) as commit:
            while wanted:
                requests = self._requests(wanted, commit)
                first = next(requests, None)
                if first is None:  # nothing to ask needs no model
                    return
                outcomes = generate(chain([first], requests), len(wanted))
                with closing(outcomes), closing(requests):
                    wanted = self._enter_all(outcomes, attempts, commit)

    def try_out(self, wanted: Sequence[Record], on_captions: Callable[[int], None]) -> None:
        """A dry run: every file is read, and nothing is asked or written.

        `on_captions` is told how many have been looked at.
        """
        done = 0
        with closing(self._subjects(wanted)) as subjects:
            for records, subject in subjects:
                done += len(records)
                on_captions(done)
                if isinstance(subject, InputError):
                    self.files.fail(records, subject)
                    continue
                subject.close()
                ask, known = self.files.settle(records, subject.facts)
                for record in [*ask, *known]:
                    self.files.would_write(record)

    def title(self, number: int) -> str:
        """Whose caption, or what part of it, request `number` of the run is for; empty for one
        that has been answered, of which a last word may come late.
        """
        if number not in self._asked:
            return ""
        record, question, _ = self._asked[number]
        label = on_one_line(record.place.label)
        parts = len(record.questions)
        return f"{label} ({question.part + 1} of {parts})" if parts > 1 else label

    def _subjects(
        self, wanted: Sequence[Record]
    ) -> Generator[tuple[list[Record], Subject | InputError], None, None]:
        """The captions of each file with what was read of it, or what is wrong with it."""
        grouped = (list(group) for _, group in groupby(wanted, lambda one: one.place.file))
        # Closed at once: an exception keeps this frame, and with it what has been read.
        with closing(read_ahead(grouped, self._read, self.media.ahead)) as subjects:
            for records, subject in subjects:
                self.check_interrupt()  # a thousand known files in a row ask nothing
                yield records, subject

    def _read(self, records: list[Record]) -> Subject:
        if self.files.hopeless:
            raise _hopeless()
        file = records[0].place.file
        return self.media.of(file).read(self.files.file(file))

    def _requests(
        self, wanted: Sequence[Record], commit: GroupCommit[Record]
    ) -> Generator[Request, None, None]:
        """Requests for the files that can be read and are not captioned by what is known."""
        self._asked.clear()
        numbers = count()
        with closing(self._subjects(wanted)) as subjects:
            for records, subject in subjects:
                if isinstance(subject, InputError) or self.files.hopeless:
                    error = subject if isinstance(subject, InputError) else _hopeless()
                    self.files.fail(records, error)
                    continue
                ask, known = self.files.settle(records, subject.facts)
                for record in known:
                    commit.put(record)
                with closing(subject):
                    for record in ask:
                        yield from self._ask(record, subject, numbers)
                        self._hand_over_if_complete(record, commit)

    def _ask(self, record: Record, subject: Subject, numbers: Iterator[int]) -> Iterator[Request]:
        """The requests of one caption that have no outcome yet."""
        kind = self.media.of(record.place.file).kinds[record.place.variant]
        if not record.questions:
            record.note = subject.note
            record.questions = [Question(part) for part in range(subject.parts)]
        for question in record.questions:
            if question.outcome is not None:
                continue
            question.seed = kind.seed_for(subject.facts.digest, question.reseeded)
            try:
                request = kind.request(subject.media, question.part, question.seed, question.halved)
            except Qwen3VLError as error:  # a page that cannot be drawn
                question.outcome = error
                continue
            self._asked[next(numbers)] = record, question, _shown(request)
            yield request

    def _enter_all(
        self,
        outcomes: Iterable[tuple[int, Outcome]],
        attempts: int,
        commit: GroupCommit[Record],
    ) -> list[Record]:
        """Write or enter every outcome; what is to be asked once more."""
        again: dict[int, Record] = {}
        for index, outcome in outcomes:
            record, question, picture = self._asked.pop(index)
            problem = _problem(outcome) or self._misfit(record, outcome)
            if isinstance(outcome, Reply):
                self.tokens += outcome.tokens
            if isinstance(outcome, Reply) and problem is None:
                self.last_picture = picture
            elif _may_ask_again(question, outcome, attempts):
                again[id(record)] = record
                continue
            question.outcome = problem or outcome
            self._hand_over_if_complete(record, commit)
        return list(again.values())

    def _misfit(self, record: Record, outcome: Outcome) -> InputError | None:
        kind = self.media.of(record.place.file).kinds[record.place.variant]
        return kind.misfit(outcome.text) if isinstance(outcome, Reply) else None

    def _hand_over_if_complete(self, record: Record, commit: GroupCommit[Record]) -> None:
        # One that was handed over has no questions any more.
        if record.questions and all(one.outcome is not None for one in record.questions):
            self._hand_over(record, commit)

    def _hand_over(self, record: Record, commit: GroupCommit[Record]) -> None:
        """All parts have an outcome: a caption to be written, or a failure."""
        kind = self.media.of(record.place.file).kinds[record.place.variant]
        outcomes = [one.outcome for one in record.questions if one.outcome is not None]
        try:
            answer = kind.answer(outcomes)
        except Qwen3VLError as error:
            self.files.fail([record], error)
            return
        folder = self.files.folder_name(record.place.file)
        record.text = record.recipe.wording.caption(answer, folder)
        if not record.text.strip():
            problem = InputError("Nothing is left of the answer.", "Look at replace.")
            self.files.fail([record], problem)
            return
        notes = [record.note, *map(_note, record.questions)]
        record.note = "; ".join(dict.fromkeys(filter(None, notes)))
        ends = [one.stopped_by for one in outcomes if isinstance(one, Reply)]
        record.told = {
            "seed": next(one.seed for one in record.questions),
            "stopped_by": next((end for end in ends if end != "end"), "end"),
        }
        record.questions = ()
        commit.put(record)


def _may_ask_again(question: Question, outcome: Outcome, attempts: int) -> bool:
    """Count one more try of what failed, unless it had its tries."""
    if isinstance(outcome, Reply) and question.reseeded < attempts - 1:
        question.reseeded += 1
    elif isinstance(outcome, TooLargeError) and question.halved < HALVINGS:
        question.halved += 1
    else:
        return False
    return True


def _shown(request: Request) -> Picture | None:
    """The picture that stands for a request: its last one, or the middle frame of its film."""
    for part in reversed(request.messages[-1].parts):
        if isinstance(part, Picture):
            return part
        if isinstance(part, Clip):
            return Picture(part.frames[len(part.frames) // 2].copy())  # without the others
    return None


def _note(question: Question) -> str:
    """A word on how a part was answered; "" where there is nothing to say."""
    reply = question.outcome if isinstance(question.outcome, Reply) else None
    notes = [CUT_OFF.get(reply.stopped_by, ""), *reply.notes] if reply is not None else []
    if question.halved:
        notes.append(f"seen with 1/{2**question.halved} of its pixels, for want of memory")
    return "; ".join(filter(None, notes))


@contextmanager
def _committing(files: CaptionRun) -> Iterator[GroupCommit[Record]]:
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
