"""Ollama by its OpenAI-style address (fields read in its documentation and sources)."""

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
    owned_by,
    schema_field,
    seed_of_bits,
    text_said,
)


def fields(wanted: Wanted) -> Json:
    """Candidates and the repetition penalty can only be set in a Modelfile."""
    more: Json = {}
    if wanted.sampling.temperature > 0:
        more["seed"] = seed_of_bits(wanted.seed, 31)
    if wanted.thinking is not None:
        more["reasoning_effort"] = "medium" if wanted.thinking else "none"
    return basic_fields(wanted) | more | schema_field(wanted)


def facts(answers: Answers) -> ServerFacts:
    """Names only: neither sight nor context is in its lists."""
    models = tuple(ModelFacts(entry["id"]) for entry in models_listed(answers))
    return ServerFacts(text_said(answers, "/api/version", "version"), models)


OLLAMA = Dialect(
    id="ollama",
    title="Ollama",
    fields=fields,
    recognised=lambda answers: owned_by(answers, "library") or "/api/version" in answers,
    facts=facts,
    cannot=frozenset({"top_k", "repetition_penalty", "thinking_budget"}),
    asks_of=("/api/version",),
    remarks=(
        "a prompt longer than the context that it was started with (OLLAMA_CONTEXT_LENGTH) is "
        "cut by it without a word",
    ),
)
