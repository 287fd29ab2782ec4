"""What a user may choose about an answer, and the range of each choice."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ..errors import InputError


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


def _is_size(size_wh: tuple[int, int]) -> bool:
    low, high = min(size_wh), max(size_wh)
    fits = low >= 32 and high <= 200 * low and low * high <= OPTION_RANGES["max_pixels"][1]
    return fits and low % 32 == 0 and high % 32 == 0
