"""DashScope's compatible mode, where Alibaba Cloud serves the official models."""

from __future__ import annotations

from .dialect import (
    Answers,
    Dialect,
    Json,
    ModelFacts,
    ServerFacts,
    Wanted,
    basic_fields,
    models_listed,
    schema_field,
    seed_of_bits,
)

# Beyond this it makes pictures smaller itself, unless it is told not to.
PLAIN_PIXELS = 2560 * 32 * 32
# Above 100 it chooses from all candidates.
NO_TOP_K = 101


def fields(wanted: Wanted) -> Json:
    """Thinking and its budget stand on the top level."""
    sampling = wanted.sampling
    more: Json = {"repetition_penalty": sampling.repetition_penalty}
    if sampling.temperature > 0:
        more |= {"top_k": sampling.top_k or NO_TOP_K, "seed": seed_of_bits(wanted.seed, 31)}
    if wanted.thinking is not None:
        more["enable_thinking"] = wanted.thinking
    if wanted.thinking_budget:
        more["thinking_budget"] = wanted.thinking_budget
    if wanted.largest_pixels > PLAIN_PIXELS:
        more["vl_high_resolution_images"] = True
    return basic_fields(wanted) | more | schema_field(wanted)


def facts(answers: Answers) -> ServerFacts:
    """The names, where it lists them."""
    return ServerFacts(models=tuple(ModelFacts(entry["id"]) for entry in models_listed(answers)))


DASHSCOPE = Dialect(
    id="dashscope",
    title="DashScope",
    fields=fields,
    recognised=lambda _answers: False,  # it is named by its profile
    facts=facts,
    always_streams=True,  # thinking comes in a stream only
)
