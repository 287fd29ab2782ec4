"""From a model's answer to the caption that is written: replaced, cut, triggered, framed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InputError
from ..files.fingerprint import published

_ARROW = "=>"
_KOHYA_FOLDER = re.compile(r"\d+_(.+)")
_CLASS = "{class}"
_AFTER_TRIGGER = ", "
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$)|[。！？]")
# A sentence or a tag that is kept holds at least this share of the room there is.
_LEAST_KEPT = 0.5


@dataclass(frozen=True, slots=True)
class Wording:
    """What is done to an answer before it is a caption, in the order of the fields below.

    `replacements` are (find, replacement), literal and in order; `max_characters` bounds the
    whole caption (0: no bound); `trigger_word` is put first unless the answer says it;
    `prefix` and `suffix` go around all of it as they are.
    """

    replacements: tuple[tuple[str, str], ...] = ()
    max_characters: int = 0
    trigger_word: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def identity(self) -> str:
        """What the digest of a recipe knows it by; see `published` for how a field is added."""
        first = {
            "replacements": self.replacements,
            "max_characters": self.max_characters,
            "trigger_word": self.trigger_word,
            "prefix": self.prefix,
            "suffix": self.suffix,
        }
        return published("Wording", first)

    @property
    def names_class(self) -> bool:
        """Whether captions depend on the folder of their picture."""
        return _CLASS in self.trigger_word

    def caption(self, answer: str, folder_name: str) -> str:
        """The caption for an answer about a picture in the folder `folder_name`."""
        text = answer
        for find, replacement in self.replacements:
            text = text.replace(find, replacement)
        trigger = self.trigger_word.replace(_CLASS, class_of(folder_name)).strip()
        kept = self._within_bounds(text, 0)
        if trigger and not _says(kept, trigger):
            kept = self._within_bounds(text, len(trigger) + len(_AFTER_TRIGGER))
            kept = f"{trigger}{_AFTER_TRIGGER}{kept}" if kept else trigger
        return f"{self.prefix}{kept}{self.suffix}"

    def _within_bounds(self, text: str, others: int) -> str:
        """As much of a text as may stand beside prefix, suffix and so many other characters."""
        if not self.max_characters:
            return text
        room = self.max_characters - len(self.prefix) - len(self.suffix) - others
        return shortened(text, max(room, 0))


def _says(text: str, words: str) -> bool:
    """Whether a text has these words as words: "masks" does not say "sks"."""
    pattern = rf"(?<!\w){re.escape(words.casefold())}(?!\w)"
    return re.search(pattern, text.casefold()) is not None


def class_of(folder_name: str) -> str:
    """The class in a folder's name as kohya's trainers read it: `10_sks dog` is `sks dog`."""
    match = _KOHYA_FOLDER.fullmatch(folder_name)
    return match[1].strip() if match else folder_name


def shortened(text: str, room: int) -> str:
    """At most `room` characters: whole sentences, else whole tags, else whole words."""
    if len(text) <= room:
        return text
    begun = text[:room]
    ends = [m.end() for m in _SENTENCE_END.finditer(text[: room + 1]) if m.end() <= room]
    cuts = [ends[-1] if ends else 0, text.rfind(",", 0, room + 1)]
    for cut in cuts:
        if cut >= room * _LEAST_KEPT:
            return text[:cut].rstrip()
    space = begun.rfind(" ")
    word_ends_here = text[room : room + 1].isspace()
    return (begun if word_ends_here or space <= 0 else begun[:space]).rstrip(" ,;")


def parse_replacements(lines: str) -> tuple[tuple[str, str], ...]:
    """(find, replacement) of each line `find => replacement`; an empty replacement deletes.

    Raises:
        InputError: a line without an arrow, or with nothing to find, by its number.
    """
    found = []
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip():
            continue
        find, arrow, replacement = line.partition(_ARROW)
        if not arrow or not find.strip():
            raise InputError(
                f"Line {number} of replace, {line[:80]!r}, does not say what becomes of what.",
                f"Write it as: find {_ARROW} replacement",
            )
        found.append((find.strip(), replacement.strip()))
    return tuple(found)


def joined(before: str, after: str, own_is_last: bool, own_edge: str) -> str:
    """A caption that was there and one that is added, as one text.

    They are joined by a space, unless the added one's own edge (its prefix when it comes last,
    its suffix when it comes first) is a separator itself, such as ", ".
    """
    first, last = before.rstrip(), after
    if own_is_last and own_edge[:1] and not own_edge[:1].isalnum():
        return first + last
    if not own_is_last and own_edge[-1:] and not own_edge[-1:].isalnum():
        return before + last.lstrip()
    return f"{first} {last.lstrip()}" if first and last.strip() else first or last
