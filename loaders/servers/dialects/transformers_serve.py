"""`transformers serve` (fields read in 5.17 to 5.24, which refuse what they do not know)."""

from __future__ import annotations

import json

from .dialect import (
    Answers,
    Dialect,
    Json,
    ModelFacts,
    ServerFacts,
    Wanted,
    basic_fields,
    models_listed,
    seed_of_bits,
)


def fields(wanted: Wanted) -> Json:
    """What OpenAI has no name for goes in as a generation config, written as text."""
    sampling = wanted.sampling
    fields = basic_fields(wanted)
    # It fails over stop texts (5.19); they are cut off here, which closes a stream at once.
    for refused in ("presence_penalty", "stream_options", "stop"):
        fields.pop(refused, None)
    config: Json = {"do_sample": sampling.temperature > 0}
    if sampling.temperature > 0:
        config |= {"top_k": sampling.top_k}
        fields["seed"] = seed_of_bits(wanted.seed, 31)
    if sampling.repetition_penalty != 1.0:
        config["repetition_penalty"] = sampling.repetition_penalty
    if wanted.thinking is not None:
        fields["chat_template_kwargs"] = {"enable_thinking": wanted.thinking}
    return fields | {"generation_config": json.dumps(config)}


def facts(answers: Answers) -> ServerFacts:
    """The checkpoints in its cache; one that it was started with need not be among them."""
    return ServerFacts(models=tuple(ModelFacts(entry["id"]) for entry in models_listed(answers)))


TRANSFORMERS_SERVE = Dialect(
    id="transformers",
    title="transformers serve",
    fields=fields,
    recognised=lambda _answers: False,  # it says nothing of itself; its profile has to name it
    facts=facts,
    cannot=frozenset({"presence_penalty", "json_schema", "thinking_budget"}),
    first_in_flight=1,
)
