"""Control tokens in a text that is not the model's: they must not become any, on any way to it."""

from __future__ import annotations

import re

from .printable import clean_text

_CONTROL = re.compile(r"<\|(\w+)\|>")
# Tokens of their own too, though no tokenizer calls them special.
_MARKS = re.compile(r"<(/?)(think|tool_call|tool_response)>")

# Around a tool's result, each a part of its own in a user's turn; `placed` makes no such part.
RESPONSE_START, RESPONSE_END = "<tool_response>\n", "\n</tool_response>"
_RESPONSE_PARTS = (RESPONSE_START, "\n" + RESPONSE_START, RESPONSE_END)
# How a call is to be written: in the words of the official chat template, and of the cookbooks.
CALL_FORM = (
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
_SHORT_FORM = "<tool_call>...</tool_call> block"
_FORMS = re.compile(f"({re.escape(CALL_FORM)}|{re.escape(_SHORT_FORM)})")


def defused(text: str) -> str:
    """The text with "<|im_end|>" written as "<| im_end |>", and "</think>" as "</ think >"."""
    return _MARKS.sub(r"<\1 \2 >", _CONTROL.sub(r"<| \1 |>", text))


def defused_part(text: str, role: str) -> str:
    """A part of a turn as a model may read it: marks stay where they are the model's own, the
    pack's around a tool's result, or say in a system turn how a call is written. Half of a
    surrogate pair is no text for any tokenizer or server.
    """
    text = clean_text(text)
    if role == "assistant":
        return _CONTROL.sub(r"<| \1 |>", text)
    if role == "user" and text in _RESPONSE_PARTS:
        return text
    if role == "system":
        pieces = _FORMS.split(text)  # every second one is a form
        return "".join(p if n % 2 else defused(p) for n, p in enumerate(pieces))
    return defused(text)
