"""vLLM (fields read in 0.25 to 0.32; it ignores those that it does not know)."""

from __future__ import annotations

from .dialect import (
    Answers,
    Dialect,
    FilmTimes,
    Json,
    ModelFacts,
    ServerFacts,
    Wanted,
    basic_fields,
    count,
    models_listed,
    owned_by,
    schema_field,
    seed_of_bits,
    template_thinking,
    text_said,
)


def fields(wanted: Wanted) -> Json:
    """Sampling beyond OpenAI's stands beside it, not in an `extra_body`."""
    sampling = wanted.sampling
    more: Json = {"repetition_penalty": sampling.repetition_penalty}
    if sampling.temperature > 0:
        more |= {"top_k": sampling.top_k, "seed": seed_of_bits(wanted.seed, 63)}
    if wanted.film:
        more["media_io_kwargs"] = {"video": _film_fields(wanted.film)}
    if wanted.thinking_budget:
        more["thinking_token_budget"] = wanted.thinking_budget
    return basic_fields(wanted) | more | schema_field(wanted) | template_thinking(wanted)


def _film_fields(film: FilmTimes) -> Json:
    """Every frame that is sent, at its time; else it takes 32, one a second."""
    return {
        "num_frames": -1,
        "fps": film.fps,
        "frames_indices": list(film.indices),
        "total_num_frames": film.total,
    }


def facts(answers: Answers) -> ServerFacts:
    """Its version, and the models with the context that they were started with."""
    models = [ModelFacts(e["id"], count(e.get("max_model_len"))) for e in models_listed(answers)]
    return ServerFacts(text_said(answers, "/version", "version"), tuple(models))


VLLM = Dialect(
    id="vllm",
    title="vLLM",
    fields=fields,
    recognised=lambda answers: owned_by(answers, "vllm"),
    facts=facts,
    asks_of=("/version",),
    first_in_flight=64,
    tries_pictures=True,
    tries_films=True,
    remarks=(
        "a thinking budget needs a server started with a reasoning parser",
        "films as such need one started with --trust-request-mm-kwargs",
    ),
    takes_bmp=True,
)
