"""LM Studio (fields read in its documentation; it loads a model when it is first asked for)."""

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
    objects,
    owned_by,
    said,
    schema_field,
    seed_of_bits,
)


def fields(wanted: Wanted) -> Json:
    """The repetition penalty has llama.cpp's name."""
    sampling = wanted.sampling
    more: Json = {"repeat_penalty": sampling.repetition_penalty}
    if sampling.temperature > 0:
        more |= {"top_k": sampling.top_k, "seed": seed_of_bits(wanted.seed, 31)}
    return basic_fields(wanted) | more | schema_field(wanted)


def facts(answers: Answers) -> ServerFacts:
    """Its own list says which models see and which are loaded, and with what context."""
    own = objects(said(answers, "/api/v1/models", "models"), "key")
    known = {entry["key"]: entry for entry in own}
    names = [e["id"] for e in models_listed(answers)] or list(known)
    return ServerFacts(models=tuple(_model(name, known.get(name, {})) for name in names))


def _model(name: str, entry: Json) -> ModelFacts:
    able, instances = entry.get("capabilities"), entry.get("loaded_instances")
    sees = able.get("vision") if isinstance(able, dict) else None
    first = instances[0] if isinstance(instances, list) and instances else {}
    config = first.get("config") if isinstance(first, dict) else {}
    context = config.get("context_length") if isinstance(config, dict) else 0
    loaded = bool(instances) if isinstance(instances, list) else None
    sees = sees if isinstance(sees, bool) else None
    return ModelFacts(name, count(context) or count(entry.get("max_context_length")), sees, loaded)


LM_STUDIO = Dialect(
    id="lm_studio",
    title="LM Studio",
    fields=fields,
    recognised=lambda answers: (
        owned_by(answers, "organization_owner") or "/api/v1/models" in answers
    ),
    facts=facts,
    cannot=frozenset({"thinking", "thinking_budget"}),
    asks_of=("/api/v1/models",),
)
