"""What a server answered, as a reply: whole or in pieces, and never trusted."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from ....utils.chat.requests import Reply, StoppedBy
from ....utils.errors import GenerationError
from ....utils.text.printable import clean_text
from ....utils.text.thinking import split_thinking
from .bodies import BrokenAnswerError, look_for_error, parse_object

# Where servers write thinking: vLLM and Ollama, the others.
REASONING = ("reasoning", "reasoning_content")
STOPS: dict[str, StoppedBy] = {"stop": "end", "eos": "end", "length": "length", "abort": "length"}
# Text is looked through for endless repetition once in so many pieces: a unit of up to so many
# letters, over and over for so many. About the same as for tokens, of which a word has one or two.
LOOK_EVERY = 64
MAX_PERIOD, MIN_SPAN = 512, 2048


@dataclass(slots=True)
class Writing:
    """An answer being written, from the pieces of a stream or from one whole message."""

    stop: tuple[str, ...] = ()
    starts_thinking: bool = False  # such a model opens with a thought
    asked_to_think: bool = False  # it was asked for one
    content: str = ""
    thinking: str = ""
    finish: str | None = None
    stop_text: str | None = None
    prompt_tokens: int = 0
    tokens: int = 0
    pieces: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False
    _spoke: bool = False
    _endless: bool = False
    _cut: int | None = None
    _searched: int = 0

    def take_whole(self, data: bytes) -> None:
        """Take the body of an answer that came in one piece.

        Raises:
            BrokenAnswerError: it is not such an answer, or the server's own error.
        """
        whole = parse_object(data)
        look_for_error(whole)
        self._take_message(whole, "message")
        self.complete = True
        self._endless = is_endless_text(self.text)

    def take_event(self, data: str) -> None:
        """Take one event of a stream.

        Raises:
            BrokenAnswerError: it is not such an event, or the server's own error.
        """
        if data == "[DONE]":
            self.complete = True
            return
        event = parse_object(data.encode("utf-8", "replace"))
        look_for_error(event)
        self._take_message(event, "delta")
        self.pieces += 1
        if self.pieces % LOOK_EVERY == 0:
            self._endless = is_endless_text(self.text)

    def _take_message(self, data: dict[str, Any], key: str) -> None:
        self._take_usage(data.get("usage"))
        choices = data.get("choices")
        if not isinstance(choices, list) or (not choices and key == "message"):
            if key == "delta" and "usage" in data:
                return
            raise BrokenAnswerError("it has no choices")
        if not choices:
            return
        choice = choices[0]
        message = choice.get(key) if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise BrokenAnswerError(f"its choice has no {key}")
        self.content += _string(message.get("content"))
        self._look_for_stop()
        self.thinking += next((t for k in REASONING if (t := _string(message.get(k)))), "")
        self._spoke |= any(message.get(k) is not None for k in ("content", *REASONING))
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            self.calls += [call for call in calls if isinstance(call, dict)]
        if isinstance(choice.get("finish_reason"), str):
            self.finish = choice["finish_reason"]
            self._spoke |= key == "delta"  # an empty answer of llama.cpp has only its end
        if isinstance(choice.get("stop_reason"), str):
            self.stop_text = choice["stop_reason"]

    def _take_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self.prompt_tokens = _whole(usage.get("prompt_tokens")) or self.prompt_tokens
            self.tokens = _whole(usage.get("completion_tokens")) or self.tokens

    def _look_for_stop(self) -> None:
        """Find the first stop text; servers that know it leave it out, others do not know it."""
        if self._cut is not None or not self.stop:
            return
        start = max(0, self._searched - max(map(len, self.stop)))
        places = (self.content.find(text, start) for text in self.stop)
        self._cut = min((at for at in places if at >= 0), default=None)
        self._searched = len(self.content)

    @property
    def ended_here(self) -> bool:
        """Whether no more need be read: a stop text came, or the same over and over."""
        return self._endless or self._cut is not None

    @property
    def text(self) -> str:
        """What is written so far."""
        return clean_text(self.content or self.thinking)

    @property
    def written(self) -> int:
        """Tokens so far: the server's own count, or one for each piece until it gives one."""
        return self.tokens or self.pieces

    def reply(self, seconds: float, first_seconds: float, notes: tuple[str, ...] = ()) -> Reply:
        """The finished reply, thinking apart, cut at the first stop string.

        Raises:
            BrokenAnswerError: the stream ended in the middle, or there is no answer in it.
            GenerationError: the server refused to answer.
        """
        cut = self._cut
        if not (self.complete or self.finish or self.ended_here):
            raise BrokenAnswerError("it ended in the middle")
        if self.finish == "content_filter":
            raise GenerationError(
                "The server's content filter stopped the answer.", "Ask in another way."
            )
        # Halves of a letter may come in two events, and one alone can be neither sent nor written.
        content = clean_text(self.content if cut is None else self.content[:cut])
        thinking, answer = clean_text(self.thinking).strip(), content.strip()
        if not thinking:
            # With its end mark gone it is the server that tells them apart, unless it was cut off.
            opened = self.starts_thinking and self.finish == "length"
            thinking, answer = split_thinking(content, opened)
        if not answer and self._took_it_for_a_thought():
            thinking, answer = "", thinking
        if not answer and self.calls:
            answer = clean_text("\n".join(map(call_text, self.calls)))
        if not (answer or self._spoke):
            raise BrokenAnswerError("it has no text")
        return Reply(
            text=answer,
            thinking=thinking,
            stopped_by=self._stopped_by(cut),
            tokens=self.written,
            prompt_tokens=self.prompt_tokens,
            seconds=seconds,
            first_token_seconds=first_seconds,
            notes=notes,
        )

    def _took_it_for_a_thought(self) -> bool:
        """Whether a server that looks for thoughts found one in a model that has none.

        vLLM's parsers call all a thought that has no end mark. What was cut off may be one.
        """
        thinks = self.starts_thinking or self.asked_to_think
        return not thinks and self.finish != "length" and not self.calls

    def interrupted(self) -> Reply:
        """The reply as far as it is written."""
        thinking, answer = clean_text(self.thinking).strip(), clean_text(self.content).strip()
        if not thinking:
            thinking, answer = split_thinking(answer, self.starts_thinking)
        return Reply(answer, thinking, "interrupt", self.written, self.prompt_tokens, 0.0, 0.0)

    def _stopped_by(self, cut: int | None) -> StoppedBy:
        if cut is not None or self.stop_text in self.stop:
            return "stop_string"
        if self._endless:
            return "repetition"
        return STOPS.get(self.finish or "stop", "end")


def is_endless_text(text: str) -> bool:
    """Whether a text ends in one unit of up to 512 letters, repeated for 2,048 and more."""
    tail = text[-MIN_SPAN:]
    return len(tail) == MIN_SPAN and any(
        tail[-1] == tail[-1 - period] and tail[period:] == tail[:-period]
        for period in range(1, MAX_PERIOD + 1)
    )


def call_text(call: dict[str, Any]) -> str:
    """A tool call that the server took out of the text, as the model had written it."""
    function = call.get("function")
    named = function if isinstance(function, dict) else call
    arguments = named.get("arguments")
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):  # then it stays the text it is
            arguments = json.loads(arguments)
    whole = {"name": named.get("name"), "arguments": arguments}
    return f"<tool_call>\n{json.dumps(whole, ensure_ascii=False)}\n</tool_call>"


def _string(value: Any) -> str:
    if isinstance(value, list):  # some servers answer in parts, as they are asked
        return "".join(_string(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
