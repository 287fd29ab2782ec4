"""What stands in curly brackets in a prompt: the places of pictures, and choices."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from ..errors import InputError
from ..images.picture import Clip, Picture
from ..text.control_tokens import defused
from .messages import Part

# Numbers count as people do; four digits are more than any request holds.
_NAMED = re.compile(r"\{(image|video)(\d{1,4})\}")
_KINDS: dict[str, type] = {"image": Picture, "video": Clip}
_DEEPEST = 64
_ESCAPED = "{|}"


def placed(words: str, visuals: Sequence[Picture | Clip]) -> tuple[Part, ...]:
    """The parts of a message: the words with each named picture or clip in its place.

    `{image2}` is the second picture, `{video1}` the first clip; one may be named twice. Those
    that are not named come first, in their order, as without any name.

    Raises:
        InputError: a name without its picture.
    """
    by_kind = {name: [v for v in visuals if isinstance(v, kind)] for name, kind in _KINDS.items()}
    parts: list[Part] = []
    named: set[int] = set()
    at = 0
    for found in _NAMED.finditer(words):
        visual = _visual(found[0], by_kind[found[1]], int(found[2]), found[1])
        named.add(id(visual))
        parts += [*_text(words[at : found.start()]), visual]
        at = found.end()
    parts += _text(words[at:])
    return (*(v for v in visuals if id(v) not in named), *parts)


def _visual(name: str, visuals: Sequence[Picture | Clip], number: int, kind: str) -> Picture | Clip:
    if 1 <= number <= len(visuals):
        return visuals[number - 1]
    count = f"{len(visuals)} {kind}{'' if len(visuals) == 1 else 's'}"
    raise InputError(
        f"The prompt names {name}, but there {'is' if len(visuals) == 1 else 'are'} {count}.",
        f"Connect it, or name one from {{{kind}1}} on.",
    )


def _text(words: str) -> list[Part]:
    """As it stands, spaces and line breaks included, so that the user decides about them; but no
    part that would pass for a mark of the pack's own.
    """
    return [defused(words)] if words else []


def with_choices(text: str, seed: int) -> str:
    """The text with one of each group of choices, which may hold others.

    Brackets without a bar stay as they are, JSON too; a backslash before a bracket or bar makes it
    a plain one, and a group that never ends is no group.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret hangs on it
    open_groups: list[list[str]] = []  # the choices of each, the last one unfinished
    done = ""
    place = 0
    while place < len(text):
        char = text[place]
        place += 1
        if char == "\\" and text[place : place + 1] in _ESCAPED and place < len(text):
            char, place = text[place], place + 1
        elif char == "{" and len(open_groups) < _DEEPEST:
            open_groups.append([""])
            continue
        elif char == "|" and open_groups:
            open_groups[-1].append("")
            continue
        elif char == "}" and open_groups:
            choices = open_groups.pop()
            char = dice.choice(choices) if len(choices) > 1 else f"{{{choices[0]}}}"
        if open_groups:
            open_groups[-1][-1] += char
        else:
            done += char
    for choices in open_groups:
        done += "{" + "|".join(choices)
    return done
