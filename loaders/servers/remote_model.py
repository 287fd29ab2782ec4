"""A model on a server as the nodes see it: the same handle as a local one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...utils.errors import InputError, Qwen3VLError
from ...utils.sampling import Edition
from ..engine.protocol import Engine
from ..settings import Adapter
from .dialects.dialect import Dialect, ModelFacts, ServerFacts
from .dispatch import Rules
from .payload import Terms
from .probe import Found, chosen_model, look_at, sees_pictures
from .profiles import Profile
from .remote_engine import RemoteEngine


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What the server node returns. It holds no address that is shown, and no key."""

    profile: Profile
    dialect: Dialect
    model: ModelFacts

    @property
    def name(self) -> str:
        """The model's name on its server."""
        return self.model.name

    @property
    def identity(self) -> str:
        """What decides its answers: the server, the model, and how it is asked."""
        profile = self.profile
        pictures = f"{profile.pictures} of {profile.min_pixels} to {profile.max_pixels} pixels"
        return f"{self.name} on {profile.name} ({self.dialect.id}), {self.edition}, {pictures}"

    @property
    def edition(self) -> Edition:
        """Which official sampling it gets: the profile's word, or what its name says."""
        thinks = "thinking" in (self.profile.edition or self.name.lower())
        return "thinking" if thinks else "instruct"

    @contextmanager
    def open(self) -> Iterator[Engine]:
        """An engine that asks the server.

        Raises:
            InputError: the key is not there.
        """
        profile = self.profile
        rules = Rules(profile.name, profile.key(), profile.timeout_s)
        engine = RemoteEngine(self.terms(), rules, profile.origins, profile.in_flight)
        try:
            yield engine
        finally:
            engine.close()

    def terms(self) -> Terms:
        """How it is asked."""
        profile = self.profile
        return Terms(
            dialect=self.dialect,
            model=self.name,
            edition=self.edition,
            context=profile.context or self.model.context,
            pictures=profile.pictures,
            min_pixels=min(profile.min_pixels, profile.max_pixels),
            max_pixels=profile.max_pixels,
            sees=self.model.sees_pictures,
        )

    def with_adapter(self, adapter: Adapter) -> RemoteModel:
        """A server's weights are its own.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"The LoRA {adapter.name!r} cannot be added to a model on a server.",
            "Start the server with it (vLLM: --enable-lora --lora-modules NAME=PATH) and choose "
            "NAME as model.",
        )

    def unload(self) -> None:
        """Nothing to do: its memory is the server's."""

    def describe(self) -> str:
        """What it is asked as, without asking it."""
        return describe(self, ServerFacts(), ())


def find(
    profile: Profile, model: str, check_interrupt: Callable[[], None]
) -> tuple[RemoteModel, str]:
    """The handle for a profile's model, and what the node says of it.

    Raises:
        InputError, GenerationError: no server of the profile answers, or it leaves a choice open.
    """
    found, problems = _first_that_answers(profile, check_interrupt)
    chosen = chosen_model(profile, model, found.facts)
    if chosen.sees_pictures is None and found.dialect.tries_pictures:
        sees = sees_pictures(profile, found.origin, chosen.name, check_interrupt)
        chosen = ModelFacts(chosen.name, chosen.context, sees, chosen.loaded)
    handle = RemoteModel(profile, found.dialect, chosen)
    return handle, describe(handle, found.facts, tuple(problems))


def _first_that_answers(
    profile: Profile, check_interrupt: Callable[[], None]
) -> tuple[Found, list[str]]:
    found, problems = None, []
    for number, origin in enumerate(profile.origins, 1):
        try:
            here = look_at(profile, origin, check_interrupt)
        except Qwen3VLError as error:
            if len(profile.origins) == 1 or isinstance(error, InputError):
                raise
            problems.append(f"address {number} is left out for now: {error.problem}")
            if number == len(profile.origins) and found is None:
                raise
            continue
        found = found or here
    assert found is not None  # noqa: S101 - a profile has an origin, and none failed
    return found, problems


def describe(handle: RemoteModel, facts: ServerFacts, problems: tuple[str, ...]) -> str:
    """The node's own text."""
    profile, dialect, model = handle.profile, handle.dialect, handle.model
    context = profile.context or model.context
    sees = {True: "sees pictures", False: "sees no pictures", None: "sight not known"}
    several = f", {len(profile.origins)} addresses" if len(profile.origins) > 1 else ""
    lines = [
        f"{profile.name}: {dialect.title} {facts.version}".rstrip() + several,
        f"model {model.name}, {sees[model.sees_pictures]}, "
        + (f"context {context:,} tokens" if context else "context not known"),
        f"sampling: official, {handle.edition} edition",
        "can: streaming" + "".join(f", {name}" for name in _abilities(dialect)),
    ]
    if dialect.cannot:
        lines.append("cannot, and is not asked to: " + ", ".join(sorted(dialect.cannot)))
    lines += [f"note: {remark}" for remark in dialect.remarks]
    if profile.key_variable and any(o.startswith("http://") for o in profile.origins):
        lines.append("note: its key goes over an unencrypted line")
    return "\n".join([*lines, *problems])


def _abilities(dialect: Dialect) -> list[str]:
    every = ("json_schema", "seed", "top_k", "presence_penalty", "repetition_penalty", "thinking")
    return [name for name in every if name not in dialect.cannot]
