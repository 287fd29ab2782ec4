"""What an engine takes and gives: requests, replies, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError, Qwen3VLError
from .generation_options import GenerationOptions
from .messages import Message

# A model stops by itself, at the token limit, at a stop string, or is stopped because it
# repeats itself without end.
# An interrupt stops it too where the caller wants to keep what is there.
StoppedBy = Literal["end", "length", "stop_string", "repetition", "interrupt", "memory"]


@dataclass(frozen=True, slots=True)
class Request:
    """One chat to be continued by the model, with its own options and seed."""

    messages: tuple[Message, ...]
    options: GenerationOptions = GenerationOptions()
    seed: int = 0
    # Writes "Picture 1: " before each picture, so that an answer can name one.
    number_pictures: bool = False
    # Tokens that the prompt must leave in the model's context for the answer.
    answer_room: int = 1

    def __post_init__(self) -> None:
        if not self.messages:
            raise InputError("A request has no message.", "Give at least one user message.")
        if self.messages[-1].role not in ("user", "tool"):
            raise InputError(
                f"The last message is from {self.messages[-1].role!r}, so nothing is asked.",
                "End with a user message.",
            )

    @property
    def has_vision(self) -> bool:
        """Whether any picture or clip is in the chat (official sampling depends on it)."""
        return any(not isinstance(part, str) for m in self.messages for part in m.parts)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answered to one request.

    `seconds` is the time from the request's start to its last token, `first_token_seconds` to
    its first one (0 where an answer came whole); `prompt_tokens` counts text and visual tokens.
    `notes` say what was not done as it was wanted.
    """

    text: str
    thinking: str
    stopped_by: StoppedBy
    tokens: int
    prompt_tokens: int
    seconds: float
    first_token_seconds: float
    # The thinking was closed at the budget, not by the model.
    thinking_closed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether the model was cut off before it ended by itself."""
        return self.stopped_by in ("length", "repetition", "interrupt", "memory")

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed without the prompt; 0 when there was nothing to measure."""
        decoding = self.seconds - self.first_token_seconds
        return (self.tokens - 1) / decoding if decoding > 0 and self.tokens > 1 else 0.0


# A request that cannot be answered is reported in its place; the others go on.
Outcome = Reply | Qwen3VLError
# What is worth a word about how a reply ended.
CUT_OFF = {
    "length": "cut off at max_new_tokens",
    "interrupt": "interrupted",
    "repetition": "stopped because it repeated itself without end",
    "memory": "cut off for want of memory for its keys and values",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands; handed to the caller's callback at every step.

    `finished` and `running` count requests, `tokens` all tokens generated so far. `text` is what
    is written of the reply to request `index`, the oldest unfinished one, renewed a few times a
    second; `unfinished` gives the replies as far as they are written, by request.
    """

    finished: int
    running: int
    tokens: int
    seconds: float
    text: str = ""
    index: int | None = None
    unfinished: Callable[[], Mapping[int, Reply]] = dict
