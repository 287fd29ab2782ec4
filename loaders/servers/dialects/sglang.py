"""SGLang (fields read in 0.5)."""

from __future__ import annotations

from .dialect import (
    Answers,
    Dialect,
    Json,
    ModelFacts,
    ServerFacts,
    Wanted,
    basic_fields,
    count,
    models_listed,
    owned_by,
    said,
    schema_field,
    seed_of_bits,
    template_thinking,
    text_said,
)


def fields(wanted: Wanted) -> Json:
    """As vLLM's, but thinking comes apart when it is asked to."""
    sampling = wanted.sampling
    more: Json = {
        "repetition_penalty": sampling.repetition_penalty,
        "separate_reasoning": True,
    }
    if sampling.temperature > 0:
        more |= {"top_k": sampling.top_k or -1, "seed": seed_of_bits(wanted.seed, 63)}
    return basic_fields(wanted) | more | schema_field(wanted) | template_thinking(wanted)


def facts(answers: Answers) -> ServerFacts:
    """One model; whether it sees is in `/model_info` (`/get_model_info` before 0.5.7)."""
    sees = said(answers, "/model_info", "has_image_understanding")
    sees = sees if isinstance(sees, bool) else None
    models = [
        ModelFacts(e["id"], count(e.get("max_model_len")), sees) for e in models_listed(answers)
    ]
    return ServerFacts(text_said(answers, "/server_info", "version"), tuple(models))


SGLANG = Dialect(
    id="sglang",
    title="SGLang",
    fields=fields,
    recognised=lambda answers: owned_by(answers, "sglang") or "/model_info" in answers,
    facts=facts,
    cannot=frozenset({"thinking_budget"}),
    asks_of=("/model_info", "/server_info"),
    first_in_flight=64,
    remarks=("seeds count when the server was started with --enable-deterministic-inference",),
)
