"""Any other server of the OpenAI style: what all of them take, and nothing more."""

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


def fields(wanted: Wanted) -> Json:
    """OpenAI's own fields."""
    seed = {"seed": seed_of_bits(wanted.seed, 31)} if wanted.sampling.temperature > 0 else {}
    return basic_fields(wanted) | seed | schema_field(wanted)


def facts(answers: Answers) -> ServerFacts:
    """The names of its models."""
    return ServerFacts(models=tuple(ModelFacts(entry["id"]) for entry in models_listed(answers)))


OPENAI_STYLE = Dialect(
    id="openai",
    title="OpenAI style",
    fields=fields,
    recognised=lambda answers: bool(models_listed(answers)),
    facts=facts,
    cannot=frozenset({"top_k", "repetition_penalty", "thinking", "thinking_budget"}),
)
