"""A piece of a folder: which pictures are meant, and taking them with their captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

from ..captions.ledger import Ledger
from ..captions.place import WHOLE_NAMES, Place, clashing
from ..captions.view import CaptionView
from ..errors import InputError
from ..files.picture_reader import ReadFile, read_file
from ..files.read_ahead import read_ahead
from ..images.color import Colour
from ..images.picture import Picture

# All images of a run stay in memory together: at most so many bytes of float32.
MAX_IMAGE_BYTES = 4_000_000_000
# So many of the pictures that cannot be read are named by an error.
NAMED = 3
# So many pictures after the piece are watched, as they come up where others cannot be read.
LOOK_BEYOND = 32
# Number, name, and why it cannot be taken.
Candidate = tuple[int, str, "InputError | None"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a folder's pictures: `count` from number `start` on, 0 for all.

    With `only_without_caption` those are counted that have none and can be read, so that
    neither a caption made meanwhile nor a broken picture shortens the piece.
    """

    view: CaptionView
    start: int
    count: int
    only_without_caption: bool

    @property
    def most(self) -> int:
        """How many pictures it has at most."""
        return self.count or max(0, len(self.view.names) - self.start)

    def candidates(self, on_picture: Callable[[], None] = lambda: None) -> Iterator[Candidate]:
        """What may be taken, in order; `on_picture` may raise, to stop."""
        names = self.view.names
        wanted = self.only_without_caption
        twins = clashing(map(Place, names), self.view.store.name) if wanted else ()
        stop = self.start + self.count if self.count and not wanted else len(names)
        for number in range(self.start, min(stop, len(names))):
            on_picture()
            name = names[number]
            problem = _twins() if name in twins else None
            try:
                if wanted and problem is None and self.view.has_caption(name):
                    continue
            except InputError as error:
                problem = error
            yield number, name, problem

    def first(self) -> list[str]:
        """The pictures that it may give, by which a change of it is told.

        Those that cannot be read make room for later ones: for some of them, not for a folder
        full of them, which would be looked at whole for every prompt.
        """
        most = self.count + LOOK_BEYOND if self.count else None
        return [name for _, name, _ in islice(self.candidates(), most)]

    def read(
        self,
        background: Colour,
        check_interrupt: Callable[[], None],
        on_taken: Callable[[int], None],
    ) -> Taken:
        """The pictures of the piece; `on_taken` is told how many there are so far.

        Raises:
            InputError: none can be read, or all of them are too much for memory.
        """

        def read(candidate: Candidate) -> ReadFile:
            _, name, problem = candidate
            if problem is not None:
                raise problem
            return read_file(self.view.file(name), background)

        taken = Taken(self)
        for name, error in self.view.unlisted:
            taken.notes.add(name, "failed", f"{name} {error}")
        with closing(read_ahead(self.candidates(check_interrupt), read)) as found:
            for (number, name, _), file in found:
                taken.last = number
                if isinstance(file, InputError):
                    taken.left_out.add(name, "failed", str(file))
                    continue
                taken.add(name, file.picture)
                if file.note:
                    taken.notes.add(name, "written", f"{name}: {file.note}")
                on_taken(len(taken.names))
                if len(taken.names) == self.count:
                    break
        if not taken.names and not taken.finished:
            raise taken.unreadable()
        return taken


def _twins() -> InputError:
    return InputError(
        "Another picture has the same name but for its ending, so neither can be captioned.",
        f"Rename one of them, or choose {WHOLE_NAMES} as naming.",
    )


@dataclass(slots=True)
class Taken:
    """What a piece gave: three lists of equal length, and what was left out."""

    piece: Piece
    pictures: list[Picture] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    left_out: Ledger = field(default_factory=Ledger)
    last: int = -1
    notes: Ledger = field(default_factory=Ledger)
    _bytes: int = 0

    def add(self, name: str, picture: Picture) -> None:
        """One picture with the caption it has.

        Raises:
            InputError: there is no room for it.
        """
        self._bytes += 4 * picture.pixels.size
        if self._bytes > MAX_IMAGE_BYTES:
            fit = len(self.names)
            raise InputError(
                f"Only {fit} pictures fit, from {self.piece.start} to {self.last - 1}: all images "
                f"together may have {MAX_IMAGE_BYTES / 1e9:g} GB.",
                f"Set count to {fit}, and start to {self.last} for the next ones.",
            )
        try:
            caption = self.piece.view.caption(name) or ""
        except InputError as error:
            caption = ""
            self.notes.add(name, "failed", f"{error} Until then it is given as empty.")
        self.pictures.append(picture)
        self.names.append(name)
        self.captions.append(caption)

    def given(self) -> Iterator[Picture]:
        """The pictures in order; each is let go of, as whoever takes it makes a larger copy."""
        self.pictures.reverse()
        while self.pictures:
            yield self.pictures.pop()

    @property
    def place(self) -> str:
        """Which pictures of how many."""
        first, total = self.piece.start, len(self.piece.view.names)
        if first == self.last:
            return f"picture {first} of {total}"
        return f"pictures {first} to {self.last} of {total}"

    @property
    def finished(self) -> bool:
        """Whether no picture was left to be taken: the end of a folder, and no fault."""
        return not self.names and not self.left_out.total

    def report(self) -> str:
        """Which pictures these are, then a line for each that was left out or has a problem."""
        lines = [self._nothing_left() if self.finished else self.place]
        seen = self.last - self.piece.start + 1
        passed_over = seen - len(self.names) - self.left_out.total
        if passed_over > 0:  # nothing was seen at all where nothing is left
            lines.append(f"{passed_over} passed over, which have a caption")
        lines += map(str, self.left_out.lines)
        if hidden := self.left_out.total - len(self.left_out.lines):
            lines.append(f"... and {hidden} more that cannot be read")
        return "\n".join([*lines, *(line.detail for line in self.notes.lines)])

    def _nothing_left(self) -> str:
        name, total, start = (
            self.piece.view.source.name,
            len(self.piece.view.names),
            self.piece.start,
        )
        if start >= total:
            there = f"{name} has {total} pictures, 0 to {total - 1}, and start is {start}."
            return f"Nothing is left to do: {there} To begin again, set start back to 0."
        return (
            f"Nothing is left to do: every picture of {name} from {start} on has a caption "
            f"({total} pictures in all). Switch only_without_caption off to get them all the same."
        )

    def unreadable(self) -> InputError:
        """The error of a piece of which no picture can be read."""
        view = self.piece.view
        named = " ".join(f"{line.name}: {line.detail}" for line in self.left_out.lines[:NAMED])
        return InputError(
            f"Of {self.place} in {view.source.name} none can be given. {named}",
            "Repair or remove them, or go on with a higher start.",
        )
