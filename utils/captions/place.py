"""Places of captions: each file has one for every kind of caption that is wanted of it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Where captions are kept. Stored in workflows: append only.
BESIDE, UNDER_OUTPUT = "beside the picture", "in the output folder"
# Whether the caption of a.jpg is called as trainers want it, or so that a.png may lie beside it.
SHORT_NAMES, WHOLE_NAMES = "a.txt", "a.jpg.txt"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one caption stands: the name of its file (path below the folder) and the variant.

    `variant` is "" for the first kind of caption and a short name for each further one.
    """

    file: str
    variant: str = ""

    @property
    def stem(self) -> str:
        """The caption's name without its ending: `sub/a` of `sub/a.png`, or `sub/a.tags`."""
        stem = self.file.rpartition(".")[0]
        return f"{stem}.{self.variant}" if self.variant else stem

    @property
    def whole(self) -> str:
        """The same with the file's ending: `sub/a.png`, or `sub/a.png.tags`; no other has it."""
        return f"{self.file}.{self.variant}" if self.variant else self.file

    @property
    def label(self) -> str:
        """What the ledger calls it."""
        return f"{self.file} [{self.variant}]" if self.variant else self.file


def clashing(
    places: Iterable[Place], name: Callable[[Place], str] = lambda place: place.stem
) -> set[str]:
    """Files that would share a caption with another, such as a.jpg and a.png.

    `name` gives what a caption at a place is called. Capitals do not tell files apart on Windows
    and macOS, nor does the way an accent is coded on macOS, so they do not here.
    """
    named = [(place.file, folded(name(place))) for place in places]
    times = Counter(one for _, one in named)
    if len(times) == len(named):
        return set()
    return {file for file, one in named if times[one] > 1}


def folded(name: str) -> str:
    """A name as disks compare it that tell neither capitals nor codings of accents apart."""
    found = name.casefold()
    return found if found.isascii() else unicodedata.normalize("NFC", found)
