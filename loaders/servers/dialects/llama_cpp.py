"""llama.cpp's llama-server, for GGUF files (fields read in its sources, build 11434)."""

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

MOST_LOOKED_BACK = 65_536


def fields(wanted: Wanted) -> Json:
    """Its own samplers are on unless told otherwise: min_p at 0.05, penalties over 64 tokens.

    Penalties look back over so many tokens as the answer may have, for which room is taken.
    """
    sampling = wanted.sampling
    more: Json = {"repeat_penalty": sampling.repetition_penalty}
    if sampling.repetition_penalty != 1.0 or sampling.presence_penalty:
        more["repeat_last_n"] = min(sampling.max_new_tokens, MOST_LOOKED_BACK)
    if sampling.temperature > 0:
        more |= {"top_k": sampling.top_k, "min_p": 0.0, "seed": seed_of_bits(wanted.seed, 31)}
    return basic_fields(wanted) | more | schema_field(wanted) | template_thinking(wanted)


def facts(answers: Answers) -> ServerFacts:
    """One model; the context is that of one slot, which is what an answer can use."""
    context = count(said(answers, "/props", "default_generation_settings", "n_ctx"))
    sees = said(answers, "/props", "modalities", "vision")
    sees = sees if isinstance(sees, bool) else None
    models = []
    for entry in models_listed(answers):
        meta = entry.get("meta")
        trained = count(meta.get("n_ctx_train")) if isinstance(meta, dict) else 0
        models.append(ModelFacts(entry["id"], context or trained, sees))
    slots = count(said(answers, "/props", "total_slots"))
    return ServerFacts(text_said(answers, "/props", "build_info"), tuple(models), slots)


LLAMA_CPP = Dialect(
    id="llama_cpp",
    title="llama.cpp",
    fields=fields,
    recognised=lambda answers: owned_by(answers, "llamacpp") or "/props" in answers,
    facts=facts,
    cannot=frozenset({"thinking_budget"}),
    asks_of=("/props",),
    first_in_flight=4,
    remarks=("penalties count the words of the prompt too",),
    takes_bmp=True,
)
