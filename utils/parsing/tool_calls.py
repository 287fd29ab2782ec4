"""Calls of tools in a model's answer: what it said before them, and each call's name and arguments.

Formats: Qwen3-VL's own `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (the cookbooks
"computer_use", "mobile_agent" and "think_with_images"), the `<function=…>` form of later Qwen
families, OpenAI's `tool_calls`, ReAct's "Action Input:", and JSON without any tag.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import ParseError
from ..text.json_find import JsonFound, find_json
from ..text.thinking import split_thinking
from .call_objects import ToolCall, calls_in, meant_as_call, with_brackets

OPEN, CLOSE = "<tool_call>", "</tool_call>"
# An agent's answer holds one call, now and then a few; more are no answer.
MAX_CALLS = 200
# A closing tag may stand inside a typed text; so many are tried before the call counts as broken.
_LOOK_BEYOND = 3

_TAG = re.compile(r"</?tool_call>")
_FUNCTION = re.compile(r"<function=([^<>\s]{1,200})>")
_BEGINS = re.compile(rf"{_TAG.pattern}|{_FUNCTION.pattern}")
_PARAMETER = re.compile(
    r"<parameter=([^<>\s]{1,200})>[ \t]*\n?(.*?)\n?[ \t]*</parameter>", re.DOTALL
)
# ReAct, and the words of older Qwen templates.
_REACT = re.compile(
    r"^[ \t]*(?:Action|\u273fFUNCTION\u273f):[ \t]*([\w.-]{1,100})[ \t]*\n"
    r"[ \t]*(?:Action Input|\u273fARGS\u273f):[ \t]*",
    re.MULTILINE,
)
_SAID = re.compile(r"^[ \t*]*(Thought|Action)[ \t*]*[:\uff1a][ \t*]*", re.MULTILINE | re.IGNORECASE)
_FENCE_LINE = re.compile(r"^[ \t]*```[\w+-]*[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """An answer taken apart.

    Args:
        calls: the whole calls, in order; a call that is cut off is none.
        thought: what stands behind "Thought:", or all that was said before the first call.
        action: what stands behind "Action:", the model's own sentence on what it does.
        words: everything outside of the calls, "Thought:" and "Action:" included.
        truncated: the last call has no end.
        problems: one sentence for each place where a call was meant but cannot be read.
    """

    calls: tuple[ToolCall, ...] = ()
    thought: str = ""
    action: str = ""
    words: str = ""
    truncated: bool = False
    problems: tuple[str, ...] = ()

    @property
    def repaired(self) -> bool:
        """Whether any call was not written as its format wants it."""
        return any(call.repaired for call in self.calls)


def parse_tool_calls(text: str, found: list[JsonFound] | None = None) -> ToolAnswer:
    """Take an answer apart; time grows with its length only.

    Args:
        text: the whole answer; a thinking block before it does not matter.
        found: the JSON of that answer, where the caller has looked for it already.

    Raises:
        ParseError: nested deeper, or more calls, than any answer.
    """
    thinking, answer = split_thinking(text)
    if thinking and not answer:
        return ToolAnswer(thought=thinking, truncated=True)
    reader = _Reader()
    if _BEGINS.search(answer):
        reader.tagged(answer)
    elif _REACT.search(answer):
        reader.react(answer)
    else:
        reader.bare(answer, find_json(answer) if found is None else found)
    words = "".join(reader.words).strip()
    thought, action = _said(words if reader.calls or reader.truncated else "")
    return ToolAnswer(
        tuple(reader.calls), thought, action, words, reader.truncated, tuple(reader.problems)
    )


class _Reader:
    """What has been read of one answer."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.words: list[str] = []
        self.problems: list[str] = []
        self.truncated = False

    def tagged(self, text: str) -> None:
        """Calls between tags; a missing tag on either side is made good."""
        position = 0
        while (start := _next_call(text, position)) is not None:
            at, inside, tagged = start
            self.words.append(text[position:at])
            position = self._block(text, inside, tagged)
        self.words.append(text[position:])

    def _block(self, text: str, inside: int, tagged: bool) -> int:
        """One call whose content begins at `inside`; the position behind it."""
        end, behind, closed = _end_of_block(text, inside)
        block = text[inside:end].strip()
        function = _FUNCTION.match(block)
        if function:
            self._function(block[function.end() :], function[1], closed, tagged)
            return behind
        found = find_json(block)
        cut = any(one.truncated for one in found)
        whole = _with_typed_tag(text, inside, behind) if cut and behind < len(text) else None
        if whole is not None:
            self._take(*whole[:2])
            return whole[2]
        if cut and closed:
            # The closing tag says that the call was whole: only brackets may be missing.
            again = find_json(with_brackets(block))
            found = [replace(one, repaired=True) for one in again if not one.repaired]
        elif (cut or not found) and not closed and behind == len(text):
            self.truncated = True
            found = [one for one in found if not one.truncated]
            if not found:
                return behind
        self._take(found, block, repaired=not closed or not tagged)
        return behind

    def _take(self, found: list[JsonFound], block: str, repaired: bool = False) -> None:
        """The calls in what was found in a block; a block without any is a problem."""
        calls = [call for one in found if not one.truncated for call in calls_in(one)]
        self._add([ToolCall(c.name, c.arguments, c.repaired or repaired) for c in calls], block)

    def _add(self, calls: list[ToolCall], block: str) -> None:
        self.calls += calls
        if not calls:
            self.problems.append(f"a call cannot be read, it begins: {_start(block)}")
        if len(self.calls) + len(self.problems) > MAX_CALLS:
            raise ParseError(
                f"The answer holds more than {MAX_CALLS} calls of tools.",
                "Ask again with another seed, or for fewer steps.",
            )

    def _function(self, body: str, name: str, closed: bool, tagged: bool) -> None:
        """`<function=name><parameter=key>value</parameter>…</function>`."""
        inside, end, _ = body.partition("</function>")
        if not end and not closed:
            self.truncated = True
            return
        # Their types stand in the tool's schema only, so values stay text here.
        arguments = dict(_PARAMETER.findall(inside))
        self._add([ToolCall(name, arguments, repaired=not (end and closed and tagged))], body)

    def react(self, text: str) -> None:
        """Lines "Action: name", each with "Action Input: {…}" below it."""
        marks = [*_REACT.finditer(text)]
        self.words.append(text[: marks[0].start()])
        for mark, following in zip(marks, [*marks[1:], None], strict=True):
            block = text[mark.end() : following.start() if following else len(text)]
            found = find_json(block)[:1]
            whole = bool(found) and not found[0].truncated and isinstance(found[0].value, dict)
            if whole:
                self._add([ToolCall(mark[1], found[0].value, found[0].repaired)], block)
            elif following is None and (not block.strip() or (found and found[0].truncated)):
                self.truncated = True
            else:
                self._add([], block)

    def bare(self, text: str, found: list[JsonFound]) -> None:
        """JSON without a tag: only what has the form of a call counts as one."""
        calls = [call for one in found if not one.truncated for call in calls_in(one, True)]
        if calls:
            self._add(calls, text)
        self.truncated = any(one.truncated and meant_as_call(one.value) for one in found)
        self.words.append(_before_json(text) if calls or self.truncated else text)


def _next_call(text: str, position: int) -> tuple[int, int, bool] | None:
    """(where it begins, where its content begins, whether its opening tag is there)."""
    tag = _BEGINS.search(text, position)
    if tag is None:
        return None
    if tag[0] == OPEN:
        return tag.start(), tag.end(), True
    if tag[0] != CLOSE:  # a function without a tag around it
        return tag.start(), tag.start(), False
    # Only the closing tag: the opening one was a control token that decoding left out.
    begin = text.find("{", position, tag.start())
    if begin < 0:
        begin = tag.start()
    return begin, begin, False


def _end_of_block(text: str, inside: int) -> tuple[int, int, bool]:
    """(end of the content, where to go on, whether a closing tag ended it)."""
    tag = _TAG.search(text, inside)
    if tag is None:
        return len(text), len(text), False
    if tag[0] == OPEN:
        return tag.start(), tag.start(), False
    return tag.start(), tag.end(), True


def _with_typed_tag(text: str, inside: int, behind: int) -> tuple[list[JsonFound], str, int] | None:
    """The call whose typed text holds a closing tag: what was found, its text, where to go on."""
    for _ in range(_LOOK_BEYOND):
        end = text.find(CLOSE, behind)
        if end < 0:
            return None
        behind = end + len(CLOSE)
        block = text[inside:end].strip()
        found = find_json(block)
        if len(found) == 1 and not found[0].truncated and not found[0].repaired:
            return found, block, behind
    return None


def _before_json(text: str) -> str:
    """What stands before the first bracket, without the line that opens a fence."""
    first = min((at for at in (text.find("{"), text.find("[{")) if at >= 0), default=len(text))
    return _FENCE_LINE.sub("", text[:first])


def _said(words: str) -> tuple[str, str]:
    """(thought, action) out of "Thought: … Action: …"; all of it is thought without the names."""
    marks = [*_SAID.finditer(words)]
    if not marks:
        return words, ""
    parts = {"thought": [words[: marks[0].start()].strip()], "action": []}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        said = words[mark.end() : following.start() if following else len(words)].strip()
        parts[mark[1].lower()].append(said.strip('"\u201c\u201d'))
    return " ".join(filter(None, parts["thought"])), " ".join(filter(None, parts["action"]))


def _start(block: str) -> str:
    return " ".join(block[:120].split()) or "(nothing)"
