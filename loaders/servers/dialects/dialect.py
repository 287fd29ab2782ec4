"""What a dialect is: how our settings are named on one kind of server, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ....utils.chat.sampling import Sampling
from ....utils.text.printable import clean_label

Json = dict[str, Any]
# Longer than any path or address by which a model is named.
MAX_NAME = 512


@dataclass(frozen=True, slots=True)
class FilmTimes:
    """When the frames of a film are: frame k is number `indices[k]` of `total`, `fps` a second."""

    fps: float
    indices: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """One answer that is wanted, all but its messages; `seed` is a whole number of any size.

    `schema` is a JSON schema that the answer has to fit; `thinking` None leaves it to the model,
    and `thinking_budget` is the most tokens of it (0: no bound); `largest_pixels` are those of
    the largest picture as it is sent. `film` times the frames of films that are sent as such.
    """

    model: str
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    thinking: bool | None = None
    thinking_budget: int = 0
    stream: bool = False
    largest_pixels: int = 0
    film: FilmTimes | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as its server describes it; None and 0 where it does not say."""

    name: str
    context: int = 0
    sees_pictures: bool | None = None
    loaded: bool | None = None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself."""

    version: str = ""
    models: tuple[ModelFacts, ...] = ()
    slots: int = 0  # how many requests it answers at once, 0 where it does not say


# The answers to GET by path, of those that were answered with JSON.
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of server.

    `fields` gives what it is told beside model and messages. `cannot` are the settings that it
    does not take, in the names of `unmet`. `asks_of` are paths below the server's root that say
    more of it; `recognised` tells it by them, and `facts` reads them. `first_in_flight` requests
    are sent at once before it is known how many it likes.
    """

    id: str
    title: str
    fields: Callable[[Wanted], Json]
    recognised: Callable[[Answers], bool]
    facts: Callable[[Answers], ServerFacts]
    cannot: frozenset[str] = frozenset()
    asks_of: tuple[str, ...] = ()
    first_in_flight: int = 4
    always_streams: bool = False
    # Whether a small picture is sent to learn if a model sees, where the server does not say.
    tries_pictures: bool = False
    # Whether two small films are sent to learn if their frames are taken at the times that are
    # told; where they are not, films go as pictures.
    tries_films: bool = False
    # Whether it reads pictures that are not packed at all.
    takes_bmp: bool = False
    remarks: tuple[str, ...] = field(default_factory=tuple)

    def unmet(self, wanted: Wanted) -> list[str]:
        """What of this the server cannot do, by name; it is left out and said to the user."""
        sampling = wanted.sampling
        asked = {
            "top_k": sampling.temperature > 0,
            "presence_penalty": bool(sampling.presence_penalty),
            "repetition_penalty": sampling.repetition_penalty != 1.0,
            "seed": sampling.temperature > 0,
            "json_schema": wanted.schema is not None,
            "thinking": wanted.thinking is not None,
            "thinking_budget": wanted.thinking_budget > 0,
        }
        return [name for name, is_asked in asked.items() if is_asked and name in self.cannot]


def basic_fields(wanted: Wanted) -> Json:
    """What every server of the OpenAI style is told the same way."""
    sampling = wanted.sampling
    fields: Json = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature}
    if sampling.temperature > 0:
        fields["top_p"] = sampling.top_p
    if sampling.presence_penalty:
        fields["presence_penalty"] = sampling.presence_penalty
    if wanted.stop:
        fields["stop"] = list(wanted.stop)
    fields["stream"] = wanted.stream
    if wanted.stream:
        fields["stream_options"] = {"include_usage": True}
    return fields


def schema_field(wanted: Wanted) -> Json:
    """The answer's form as OpenAI writes it, where one is wanted."""
    if wanted.schema is None:
        return {}
    form = {"name": "answer", "schema": dict(wanted.schema), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def template_thinking(wanted: Wanted) -> Json:
    """Thinking switched in the chat template, as Qwen's templates read it."""
    if wanted.thinking is None:
        return {}
    return {"chat_template_kwargs": {"enable_thinking": wanted.thinking}}


def seed_of_bits(seed: int, bits: int) -> int:
    """A seed of our 64 bits in fewer; neighbours stay apart."""
    return (seed ^ (seed >> bits)) & ((1 << bits) - 1)


def models_listed(answers: Answers) -> list[Json]:
    """The entries of `/v1/models`, whatever else stands there."""
    listed = answers.get("/v1/models")
    return objects(listed.get("data") if isinstance(listed, dict) else None, "id")


def objects(value: Any, key: str) -> list[Json]:
    """The objects of a list that have a name under a key; none of anything else.

    A name goes back to the server letter by letter, and into reports and captions: one that no
    line can show is none.
    """
    listed = value if isinstance(value, list) else []
    return [e for e in listed if isinstance(e, dict) and _is_name(e.get(key))]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def owned_by(answers: Answers, *owners: str) -> bool:
    """Whether the list of models names one of these owners."""
    return any(entry.get("owned_by") in owners for entry in models_listed(answers))


def said(answers: Answers, path: str, *keys: str) -> Any:
    """A value inside the answer of a path; None where there is none."""
    value: Any = answers.get(path)
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_said(answers: Answers, path: str, *keys: str) -> str:
    """A short text inside the answer of a path; "" where there is none."""
    value = said(answers, path, *keys)
    return clean_label(value, 80) if isinstance(value, str) else ""


def count(value: Any) -> int:
    """A number of tokens or places as a server writes it; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
