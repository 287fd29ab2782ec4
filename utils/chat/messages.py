"""What goes into a model and what comes out: messages, requests, options, replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from ..errors import InputError

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = ("system", "user", "assistant", "tool")

# A model stops by itself, at the token limit, at a stop string, or is stopped because it
# repeats itself without end.
# An interrupt stops it too where the caller wants to keep what is there.
StoppedBy = Literal["end", "length", "stop_string", "repetition", "interrupt"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One RGB picture: `pixels` uint8 [height, width, 3]."""

    pixels: np.ndarray

    def __post_init__(self) -> None:
        _check_pixels(self.pixels, 3, "A picture is uint8 [height, width, 3]")

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames sampled from a video, with what is needed to know the second of each.

    `frames` uint8 [count, height, width, 3]; frame k is number `indices[k]` of a source that
    has `total_frames` frames at `source_fps` frames a second. Where that rate varies, or the
    source was trimmed, `seconds` has the second of each frame. With `keep_size` the frames have
    the size that the model is to see already, sides multiples of 32.
    """

    frames: np.ndarray
    source_fps: float
    indices: tuple[int, ...]
    total_frames: int
    seconds: tuple[float, ...] = ()
    keep_size: bool = False

    def __post_init__(self) -> None:
        _check_pixels(self.frames, 4, "A clip is uint8 [frames, height, width, 3]")
        if len(self.indices) != len(self.frames):
            raise InputError(
                f"A clip of {len(self.frames)} frames has {len(self.indices)} frame numbers.",
                "Give one source frame number for each frame.",
            )
        if not (math.isfinite(self.source_fps) and self.source_fps > 0):
            raise InputError(
                f"A clip has {self.source_fps} frames a second.", "Give the source's frame rate."
            )
        if self.seconds:
            self._check_seconds()

    def _check_seconds(self) -> None:
        rising = all(a <= b for a, b in zip(self.seconds, self.seconds[1:], strict=False))
        sound = all(math.isfinite(second) and second >= 0 for second in self.seconds)
        if not (rising and sound and len(self.seconds) == len(self.frames)):
            raise InputError(
                f"The seconds of a clip of {len(self.frames)} frames do not rise one by one.",
                "Give the second of each frame, from 0 up.",
            )

    @property
    def times(self) -> tuple[float, ...]:
        """The second of each frame."""
        return self.seconds or tuple(index / self.source_fps for index in self.indices)


Part = str | Picture | Clip


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: text, pictures and clips in the order the model reads them."""

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"{self.role!r} is not a role.", f"Use one of {', '.join(ROLES)}.")


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """What a user may override; None means the official value for the model edition.

    Temperature 0 is greedy. `top_k` counts candidates. Penalties act on the tokens generated
    so far in this reply. `min_pixels` and `max_pixels` bound the size a picture is resized to
    (width x height; the processor rounds sides to multiples of 32). `thinking` False lets a
    Thinking edition answer at once; after `thinking_budget` tokens its thinking is closed and it
    answers, for which it then has `max_new_tokens` for the answer alone. `json_schema` wants JSON
    alone, "{}" any; `exact_size_wh` resizes every picture to it.
    """

    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    stop: tuple[str, ...] = ()
    thinking: bool | None = None
    thinking_budget: int | None = None
    json_schema: str | None = None
    exact_size_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in OPTION_RANGES.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high):  # NaN fails too
                raise InputError(
                    f"{name} is {value}, outside {low} to {high}.", "Choose a value inside."
                )
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise InputError(
                f"min_pixels {self.min_pixels} is larger than max_pixels {self.max_pixels}.",
                "Lower min_pixels or raise max_pixels.",
            )
        if self.exact_size_wh is not None and not _is_size(self.exact_size_wh):
            raise InputError(
                f"A picture of {' x '.join(map(str, self.exact_size_wh))} pixels cannot be seen.",
                "Give a width and a height in multiples of 32, of at most 16,384 x 32 x 32 pixels "
                "together and 200 to 1.",
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GenerationOptions:
        """Build from wire JSON; an unknown field is an error, never ignored."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"Unknown generation option {', '.join(unknown)}.",
                f"Known are {', '.join(sorted(known))}.",
            )
        return cls(**values)

    def filled_from(self, other: GenerationOptions) -> GenerationOptions:
        """These options, with every unset one taken from `other`."""
        # 0 is a setting (greedy); None and the empty tuple are not.
        unset = [f.name for f in fields(self) if getattr(self, f.name) in (None, ())]
        return replace(self, **{name: getattr(other, name) for name in unset})


# Inclusive ranges of every numeric option; the options node draws its widgets from them.
OPTION_RANGES: dict[str, tuple[float, float]] = {
    "max_new_tokens": (1, 262_144),
    "temperature": (0.0, 2.0),
    "top_p": (0.01, 1.0),
    "top_k": (0, 100),
    "repetition_penalty": (0.5, 2.0),
    "presence_penalty": (-2.0, 2.0),
    "thinking_budget": (1, 262_144),
    "min_pixels": (32 * 32, 16_384 * 32 * 32),
    "max_pixels": (32 * 32, 16_384 * 32 * 32),
}


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
        return self.stopped_by in ("length", "repetition", "interrupt")

    @property
    def tokens_per_second(self) -> float:
        """Decoding speed without the prompt; 0 when there was nothing to measure."""
        decoding = self.seconds - self.first_token_seconds
        return (self.tokens - 1) / decoding if decoding > 0 and self.tokens > 1 else 0.0


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


def _check_pixels(array: np.ndarray, dims: int, what: str) -> None:
    ok = isinstance(array, np.ndarray) and array.dtype == np.uint8
    if not ok or array.ndim != dims or array.shape[-1] != 3 or 0 in array.shape:
        found = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
        raise InputError(f"{what}, but this is {found}.", "Convert it with utils.images first.")


def _is_size(size_wh: tuple[int, int]) -> bool:
    low, high = min(size_wh), max(size_wh)
    fits = low >= 32 and high <= 200 * low and low * high <= OPTION_RANGES["max_pixels"][1]
    return fits and low % 32 == 0 and high % 32 == 0
