"""A conversation as a value: its turns with their pictures and clips, and what is still read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..chat.messages import Message, Part
from ..chat.requests import Reply, Request
from ..errors import InputError
from ..images.picture import Clip, Picture

# About what a turn takes in the context; only the proportions between turns matter.
_CHARACTERS_PER_TOKEN = 3
_PIXELS_PER_TOKEN = 32 * 32
_MOST_TOKENS_PER_PICTURE = 1_280
_TOKENS_PER_MESSAGE = 5


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer; `asked` is text, pictures and clips in reading order."""

    asked: tuple[Part, ...]
    answer: str
    thinking: str = ""

    @property
    def question(self) -> str:
        """The words of the question, its pictures as names in brackets."""
        return " ".join(_named(part) for part in self.asked).strip()


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation. The model no longer reads the first `forgotten` turns; they stay to be
    shown and saved.
    """

    system_prompt: str = ""
    turns: tuple[Turn, ...] = ()
    forgotten: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.forgotten <= len(self.turns):
            raise InputError(
                f"A chat of {len(self.turns)} turns cannot have forgotten {self.forgotten}.",
                "Give a number from 0 to its turns.",
            )

    def asking(self, parts: Sequence[Part]) -> tuple[Message, ...]:
        """The messages that put one more question; the thinking of earlier turns is left out,
        as the model's makers do it.
        """
        messages = []
        if self.system_prompt.strip():
            messages.append(Message("system", (self.system_prompt.strip(),)))
        for turn in self.turns[self.forgotten :]:
            messages += [Message("user", turn.asked), Message("assistant", (turn.answer,))]
        return (*messages, Message("user", tuple(parts)))

    def answered(self, parts: Sequence[Part], answer: str, thinking: str = "") -> Chat:
        """The chat with one more turn."""
        return replace(self, turns=(*self.turns, Turn(tuple(parts), answer, thinking)))

    def without_last(self) -> Chat:
        """The chat as it was before its last turn.

        Raises:
            InputError: there is none.
        """
        self._last("undo")
        turns = self.turns[:-1]
        return replace(self, turns=turns, forgotten=min(self.forgotten, len(turns)))

    def with_last_answer(self, answer: str) -> Chat:
        """The chat with its last answer put right by the user; what was thought goes with it.

        Raises:
            InputError: there is no turn, or nothing to put in its place.
        """
        last = self._last("edit")
        if not answer.strip():
            raise InputError("The new answer is empty.", "Write it in the question's field.")
        return replace(self, turns=(*self.turns[:-1], Turn(last.asked, answer.strip())))

    def forgetting(self, tokens: int) -> Chat:
        """The chat that reads fewer of its oldest turns, so that about `tokens` become free.

        At least one more turn is forgotten; the same chat when all are.
        """
        freed, forgotten = 0, self.forgotten
        while forgotten < len(self.turns) and (freed < tokens or forgotten == self.forgotten):
            freed += _tokens(self.turns[forgotten])
            forgotten += 1
        return replace(self, forgotten=forgotten)

    @property
    def pictures(self) -> int:
        """How many pictures and clips the model still reads."""
        parts = [part for turn in self.turns[self.forgotten :] for part in turn.asked]
        return sum(not isinstance(part, str) for part in parts)

    def shows(self, picture: Picture) -> bool:
        """Whether the model reads this very picture already."""
        parts = (part for turn in self.turns[self.forgotten :] for part in turn.asked)
        return any(
            isinstance(part, Picture)
            and (part is picture or np.array_equal(part.pixels, picture.pixels))
            for part in parts
        )

    def text(self) -> str:
        """The whole conversation as plain text."""
        lines = [f"System: {self.system_prompt.strip()}"] if self.system_prompt.strip() else []
        for turn in self.turns:
            lines += [f"User: {turn.question}", f"Assistant: {turn.answer}"]
        return "\n\n".join(lines)

    def _last(self, what: str) -> Turn:
        if not self.turns:
            raise InputError(
                f"There is no turn to {what}: the chat is empty.", "Ask a question first."
            )
        return self.turns[-1]


def chat_of(request: Request, reply: Reply) -> Chat:
    """The conversation that a single question and its answer are."""
    system = [m for m in request.messages if m.role == "system"]
    words = "\n\n".join(part for m in system for part in m.parts if isinstance(part, str))
    return Chat(words, (Turn(request.messages[-1].parts, reply.text, reply.thinking),))


def _named(part: Part) -> str:
    if isinstance(part, str):
        return part.strip()
    if isinstance(part, Picture):
        return f"[picture {part.size_wh[0]} x {part.size_wh[1]}]"
    return f"[video of {len(part.frames)} frames]"


def _tokens(turn: Turn) -> int:
    return sum(map(_part_tokens, (*turn.asked, turn.answer))) + 2 * _TOKENS_PER_MESSAGE


def _part_tokens(part: Part) -> int:
    if isinstance(part, str):
        return len(part) // _CHARACTERS_PER_TOKEN + 1
    if isinstance(part, Clip):
        count, height, width = part.frames.shape[:3]
        return count * (width * height // _PIXELS_PER_TOKEN + 1) // 2
    width, height = part.size_wh
    return min(width * height // _PIXELS_PER_TOKEN + 1, _MOST_TOKENS_PER_PICTURE)
