"""Checks answers by rules and asks once more, saying what was wrong, for those that do not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from ..errors import ParseError
from ..text.json_find import find_json
from .answer_rules import AnswerRules, ask_again, bare, is_json
from .messages import Message
from .requests import Reply, Request


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that was looked at: the reply that counts, what is still wrong, and what was done
    to it.
    """

    reply: Reply
    problems: tuple[str, ...] = ()
    asked_again: bool = False
    repaired: bool = False

    @property
    def note(self) -> str:
        """What a report says of it; empty where there is nothing to say."""
        parts = []
        if self.asked_again:
            parts.append("asked for once more")
        if self.repaired:
            parts.append("the JSON was repaired")
        if self.problems:
            parts.append(f"still not as wanted: {' '.join(self.problems)}")
        return "; ".join(parts)


def checked(reply: Reply, rules: AnswerRules) -> Checked:
    """A reply by its rules, without what models put around an answer. JSON that can be read but
    is not written strictly is written strictly.
    """
    if not rules:
        return Checked(reply)
    text, repaired = bare(reply.text), False
    if rules.json_only and not is_json(text) and (strict := _strict(text)) is not None:
        text, repaired = strict, True
    return Checked(replace(reply, text=text), rules.problems(text), repaired=repaired)


def again(request: Request, first: Checked) -> Request:
    """The request that asks for another answer, after the one that did not fit."""
    follow_up = (
        Message("assistant", (first.reply.text,)),
        Message("user", (ask_again(first.problems),)),
    )
    return replace(request, messages=(*request.messages, *follow_up))


def better(first: Checked, second: Checked) -> Checked:
    """The answer that counts: the second unless it is further from what was wanted."""
    if len(second.problems) > len(first.problems) or not second.reply.text.strip():
        return replace(first, asked_again=True)
    return replace(second, asked_again=True)


def check_json(found: Checked, rules: AnswerRules, what: str) -> None:
    """Refuse an answer that had to be JSON and is not; nobody downstream could read it.

    Raises:
        ParseError: naming the answer.
    """
    if rules.json_only and not is_json(found.reply.text):
        raise ParseError(
            f"{what} is no JSON, also when asked for once more: {found.reply.text[:80]!r}.",
            "Raise max_new_tokens if it was cut off, or say in the prompt what the JSON holds.",
        )


def _strict(text: str) -> str | None:
    """The one JSON value that a text holds, as strict JSON; None without exactly one whole one."""
    try:
        found = find_json(text)
    except ParseError:
        return None
    if len(found) != 1 or found[0].truncated:
        return None
    made = json.dumps(found[0].value, ensure_ascii=False)
    return made if is_json(made) else None
