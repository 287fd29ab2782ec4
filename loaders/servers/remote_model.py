"""A model on a server as the nodes see it: the same handle as a local one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ...utils.chat.sampling import Edition
from ...utils.errors import GenerationError, InputError, Qwen3VLError
from ..engine.protocol import Engine
from ..settings import Adapter
from .dialects.dialect import Dialect, ModelFacts, ServerFacts
from .probe import Found, chosen_model, look_at
from .profiles import Profile, profile
from .remote_engine import RemoteEngine
from .trials import last_moment, sees_pictures, takes_films
from .wire.payload import Terms
from .wire.sending import Rules

# What a server may be able to do, as `Dialect.cannot` names it.
ABILITIES = (
    *("json_schema", "seed", "top_k", "presence_penalty", "repetition_penalty"),
    *("thinking", "thinking_budget"),
)
FILMS_AS_SUCH = "frames with their times"
FILMS_AS_PICTURES = "as pictures, the first of every two frames"


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What the server node returns. It holds no address that is shown, and no key."""

    profile: Profile
    dialect: Dialect
    model: ModelFacts
    facts: ServerFacts = ServerFacts()
    takes_films: bool = False

    @property
    def name(self) -> str:
        """The model's name on its server."""
        return self.model.name

    @property
    def identity(self) -> str:
        """What decides its answers: the server, the model, and how it is asked."""
        profile = self.profile
        # What is sent without loss is known by the name that it had first.
        sent = profile.pictures or "png"
        pictures = f"{sent} of {profile.min_pixels} to {profile.max_pixels} pixels"
        return f"{self.name} on {profile.name} ({self.dialect.id}), {self.edition}, {pictures}"

    @property
    def making(self) -> str:
        """Which files its server has loaded, a server does not say."""
        return ""

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
        engine = RemoteEngine(
            self.terms(), rules, profile.origins, profile.in_flight, self.facts.slots
        )
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
            pictures=profile.pictures or self._exact_pictures,
            min_pixels=min(profile.min_pixels, profile.max_pixels),
            max_pixels=profile.max_pixels,
            sees=self.model.sees_pictures,
            takes_films=self.takes_films,
        )

    @property
    def _exact_pictures(self) -> str:
        """A bmp is made in a twentieth of a png's time; a line to another machine would feel it."""
        quick = self.dialect.takes_bmp and self.profile.on_this_machine
        return "bmp" if quick else "png"

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
        """Which server and model, and what it can do, as it said when it was found."""
        dialect, context = self.dialect, self.profile.context or self.model.context
        sees = {True: "sees pictures", False: "sees no pictures", None: "sight not known"}
        several = len(self.profile.origins)
        unsafe = any(origin.startswith("http://") for origin in self.profile.origins)
        lines = [
            f"{self.profile.name}: {dialect.title} {self.facts.version}".rstrip()
            + (f", {several} addresses" if several > 1 else ""),
            f"model {self.name}, {sees[self.model.sees_pictures]}, "
            + (f"context {context:,} tokens" if context else "context not known"),
            f"official sampling of the {self.edition} edition",
            f"can: streaming, {', '.join(a for a in ABILITIES if a not in dialect.cannot)}",
        ]
        if self.model.sees_pictures is not False:
            lines.append(f"films: {FILMS_AS_SUCH if self.takes_films else FILMS_AS_PICTURES}")
        if dialect.cannot:
            lines.append("cannot, and is not asked to: " + ", ".join(sorted(dialect.cannot)))
        lines += [f"note: {remark}" for remark in dialect.remarks]
        if self.profile.key_variable and unsafe:
            lines.append("note: its key goes over a line that is not encrypted")
        return "\n".join(lines)


def find(
    server: Profile, model: str, check_interrupt: Callable[[], None]
) -> tuple[RemoteModel, list[str]]:
    """The handle for a profile's model, and a line for each address that does not answer.

    Raises:
        InputError, GenerationError: no server of the profile answers, or it leaves a choice open.
    """
    found, problems = _first_that_answers(server, check_interrupt)
    chosen = chosen_model(server, model, found.facts)
    handle = RemoteModel(server, found.dialect, chosen, found.facts, found.dialect.tries_films)
    origin, terms, until = found.origin, handle.terms(), last_moment(server)
    films = terms.takes_films and takes_films(server, origin, terms, until, check_interrupt)
    if chosen.sees_pictures is None and found.dialect.tries_pictures:
        sees = films or sees_pictures(server, origin, terms, until, check_interrupt)
        chosen = replace(chosen, sees_pictures=sees)
    return replace(handle, model=chosen, takes_films=films), problems


def version_at(server: str, model: str) -> str:
    """Differs once a server, its model or the way to it has changed; never raises."""
    try:
        named = profile(server)
        found, _ = _first_that_answers(named, lambda: None)
        chosen = chosen_model(named, model.strip(), found.facts)
    except Qwen3VLError as error:
        return str(error)
    return f"{named} {found.dialect.id} {found.facts.version} {chosen}"


def check_name(server: str | None) -> bool | str:
    """For `validate_inputs`: True, or why there is no such server. None is linked: look later."""
    try:
        if server is not None:
            profile(server)
    except Qwen3VLError as error:
        return str(error)
    return True


def _first_that_answers(
    server: Profile, check_interrupt: Callable[[], None]
) -> tuple[Found, list[str]]:
    found: Found | None = None
    problems = []
    for number, origin in enumerate(server.origins, 1):
        try:
            here = look_at(server, origin, check_interrupt)
        except GenerationError as error:
            if number == len(server.origins) and found is None:
                raise
            problems.append(f"address {number} is left out for now: {error.problem}")
            continue
        found = found or here
    assert found is not None  # noqa: S101 - a profile has an origin
    return found, problems
