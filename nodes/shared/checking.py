"""Answers that are checked by rules, and asked for once more where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.answer_rules import AnswerRules, words_in
from ...utils.chat.requests import Request
from ...utils.chat.second_asking import Checked, again, better, check_json, checked
from ..forms.widgets_asking import keeps
from .running import answer_all, report


def answer_checked(
    model: Model,
    requests: Sequence[Request],
    node_id: str | None,
    must: str = "",
    must_not: str = "",
    rules: AnswerRules | None = None,
    on_interrupt: str = "",
) -> list[Checked]:
    """Every answer, in the order of the requests.

    Args:
        must: words that have to occur, as a text field has them; `must_not` likewise.
        rules: what else an answer has to keep to.
        on_interrupt: the widget's value; with what is kept, nothing is asked again.

    Raises:
        GenerationError: the first request that could not be answered, by its number.
        ParseError: an answer that had to be JSON and is none.
    """
    wanted = (rules or AnswerRules()).and_words(words_in(must), words_in(must_not))
    by_request = [wanted.and_json(request.options.json_schema) for request in requests]
    keep = keeps(on_interrupt)
    replies = answer_all(model, requests, node_id, keep)
    found = [checked(reply, own) for reply, own in zip(replies, by_request, strict=True)]
    if any(reply.stopped_by == "interrupt" for reply in replies):
        return found
    wrong = [number for number, one in enumerate(found) if one.problems]
    if wrong:
        second = answer_all(model, [again(requests[n], found[n]) for n in wrong], node_id, keep)
        for number, reply in zip(wrong, second, strict=True):
            found[number] = better(found[number], checked(reply, by_request[number]))
    for number, one in enumerate(found):
        check_json(one, by_request[number], f"Answer {number + 1} of {len(found)}")
    return found


def checked_output(found: Sequence[Checked]) -> io.NodeOutput:
    """Texts and thinking as lists, how it went as one text; the texts also for the browser."""
    replies = [one.reply for one in found]
    texts = [reply.text for reply in replies]
    how = report(replies, [one.note for one in found])
    ui = {"text": texts, "report": [how]}
    return io.NodeOutput(texts, [reply.thinking for reply in replies], how, ui=ui)
