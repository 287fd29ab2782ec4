"""Says which settings will really be used, for each edition and input, and which have no effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .generation_options import GenerationOptions
from .sampling import OFFICIAL, Edition, Sampling, resolve

_EDITIONS: tuple[Edition, ...] = ("instruct", "thinking")
_INPUTS = {True: "pictures", False: "text alone"}
_PIXELS_PER_TOKEN = 32 * 32


def settings_text(options: GenerationOptions) -> str:
    """A line for each edition and input with what will be used, then the rest that is set."""
    lines = []
    for edition in _EDITIONS:
        by_input = {
            name: _sampling(options, edition, has_vision) for has_vision, name in _INPUTS.items()
        }
        if len(set(by_input.values())) == 1:
            lines.append(f"{edition.title()}: {by_input['pictures']}")
        else:
            lines += [f"{edition.title()}, {name}: {line}" for name, line in by_input.items()]
    lines += _rest(options)
    return "\n".join(lines)


def _sampling(options: GenerationOptions, edition: Edition, has_vision: bool) -> str:
    used = resolve(options, edition, has_vision)
    parts = [f"up to {used.max_new_tokens} tokens", *_drawing(used)]
    if used.repetition_penalty != 1.0:
        parts.append(f"repetition penalty {used.repetition_penalty:g}")
    if used.presence_penalty:
        parts.append(f"presence penalty {used.presence_penalty:g}")
    if edition == "thinking":
        parts.append(_thinking(options))
    return ", ".join(parts)


def _drawing(used: Sampling) -> list[str]:
    if used.temperature == 0:
        return ["greedy"]
    top_k = f"top_k {used.top_k}" if used.top_k else "top_k off"
    return [f"temperature {used.temperature:g}", f"top_p {used.top_p:g}", top_k]


def _thinking(options: GenerationOptions) -> str:
    if options.thinking is False:
        return "no thinking"
    if options.thinking_budget is not None:
        return f"thinks up to {options.thinking_budget} tokens beside the answer"
    return "thinks as long as it likes, which counts as answer"


def _rest(options: GenerationOptions) -> list[str]:
    lines = []
    if options.exact_size_wh is not None:
        width, height = options.exact_size_wh
        lines.append(f"Pictures: {width} x {height} pixels, whatever their shape")
    elif options.min_pixels or options.max_pixels:
        low = f"{options.min_pixels // _PIXELS_PER_TOKEN}" if options.min_pixels else "the least"
        most = f"{options.max_pixels // _PIXELS_PER_TOKEN}" if options.max_pixels else "the task's"
        lines.append(f"Pictures: from {low} to {most} tokens")
    else:
        lines.append("Pictures: as many tokens as the task needs")
    if options.json_schema is not None:
        lines.append("Answer: JSON, checked, and asked for again once")
    if options.stop:
        lines.append(f"Ends at: {', '.join(repr(text) for text in options.stop)}")
    return lines


def without_effect(
    options: GenerationOptions, sampling: str, fields: Mapping[str, Any]
) -> list[str]:
    """A line for each field that was changed and has no effect.

    Args:
        options: what came of them.
        sampling: official, greedy or custom.
        fields: the fields that count only with custom, by name, as they stand in the form.
    """
    official = OFFICIAL["instruct", True]
    changed = [
        f"{name} {value:g}" for name, value in fields.items() if value != getattr(official, name)
    ]
    lines = []
    if changed and sampling != "custom":
        lines.append(f"No effect: {', '.join(changed)}, because sampling is {sampling}")
    elif sampling == "custom" and options.temperature == 0 and (options.top_k or options.top_p):
        lines.append("No effect: top_p and top_k, because temperature 0 is greedy")
    if options.thinking is False and options.thinking_budget is not None:
        lines.append("No effect: thinking_budget, because thinking is off")
    if options.thinking is not None or options.thinking_budget is not None:
        lines.append("Instruct editions do not think: the thinking fields are for Thinking ones")
    return lines
