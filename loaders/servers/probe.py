"""Finds out what a server is: its dialect, version and models, and whether it is there at all."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

from ...utils.errors import GenerationError, InputError
from ...utils.text.printable import clean_label
from .dialects.dialect import Answers, Dialect, ModelFacts, ServerFacts
from .dialects.known import DIALECTS, recognised_dialect
from .profiles import Profile
from .wire.transport import Connection, FailedTryError, base_url, root_url, within
from .wire.verdicts import too_slow

LOOK_SECONDS = 10.0
TURN_SECONDS = 0.1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers: what it is, and what each of its models is."""

    origin: str
    dialect: Dialect
    facts: ServerFacts


def look_at(profile: Profile, origin: str, check_interrupt: Callable[[], None]) -> Found:
    """What the server at one address of a profile says of itself.

    Raises:
        InputError, GenerationError: its key is missing, or it does not answer, or is none.
    """
    key = profile.key()
    work = _look(profile, origin, key)
    return run_interruptibly(work, check_interrupt)


async def _look(profile: Profile, origin: str, key: str) -> Found:
    connection = Connection(profile.name, origin, key, tls_for(origin))
    try:
        return await within(LOOK_SECONDS, _gather(profile, origin, connection))
    except FailedTryError as error:
        raise error.trouble.error from None
    except TimeoutError:
        raise too_slow(profile.name, LOOK_SECONDS) from None
    finally:
        await connection.close()


async def _gather(profile: Profile, origin: str, connection: Connection) -> Found:
    listed = await _list_of_models(connection, base_url(origin) + "/models")
    answers: dict[str, Any] = {} if listed is None else {"/v1/models": listed}
    dialect = DIALECTS.get(profile.dialect) or _told_apart(answers)
    asked = dialect.asks_of if dialect else [p for d in DIALECTS.values() for p in d.asks_of]
    for path in asked:
        answer = await _optional(connection, root_url(origin) + path)
        if answer is not None:
            answers[path] = answer
    dialect = dialect or recognised_dialect(answers)
    if dialect is None:
        raise GenerationError(
            f"What answers as the server {profile.name!r} lists no models.",
            "Correct its origin in qwen3vl.toml; behind a proxy, with its path.",
        )
    return Found(origin, dialect, dialect.facts(answers))


def _told_apart(answers: Answers) -> Dialect | None:
    """The dialect, where the list of models alone tells it."""
    found = recognised_dialect(answers)
    return found if found is not DIALECTS["openai"] else None


async def _list_of_models(connection: Connection, url: str) -> Any:
    """The list, or None; `transformers serve` fails over it (500) where it has no cache."""
    try:
        return await connection.get(url)
    except FailedTryError as error:
        if error.trouble.waits or not error.trouble.again:
            raise
        return None


async def _optional(connection: Connection, url: str) -> Any:
    try:
        return await connection.get(url)
    except FailedTryError as error:
        if error.trouble.down:
            raise
        return None  # what a server keeps to itself is no reason not to use it


def chosen_model(profile: Profile, asked: str, facts: ServerFacts) -> ModelFacts:
    """The model to use: the one that is named, or the only one, or the only one that is loaded.

    Raises:
        InputError: there is none, or a choice; names them.
    """
    name = asked or profile.model
    if name:
        known = next((m for m in facts.models if m.name == name), None)
        if known is not None:
            return known
        # Aliases, folders and models that load when asked for need not be listed.
        return ModelFacts(name)
    loaded = [m for m in facts.models if m.loaded]
    for some in (facts.models, loaded):
        if len(some) == 1:
            return some[0]
    names = ", ".join(clean_label(m.name, 80) for m in facts.models[:12])
    if not names:
        raise InputError(
            f"The server {profile.name!r} lists no model.",
            "Write its name into the node's model, or load one on the server.",
        )
    raise InputError(
        f"The server {profile.name!r} has several models: {names}.",
        "Write one of them into the node's model.",
    )


def run_interruptibly(work: Coroutine[Any, Any, T], check_interrupt: Callable[[], None]) -> T:
    """Run network work in a thread of its own, looking for an interrupt meanwhile."""
    stop: list[Callable[[], None]] = []

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        stop.append(cancel)
        return await task

    with ThreadPoolExecutor(1, thread_name_prefix="qwen3vl-probe") as pool:
        future = pool.submit(asyncio.run, watched())
        try:
            while True:
                try:
                    return future.result(timeout=TURN_SECONDS)
                except FutureTimeoutError:
                    if future.done():
                        return future.result()
                check_interrupt()
        except BaseException:
            for cancel in stop:
                with contextlib.suppress(RuntimeError):  # its loop is closed: it is done
                    cancel()
            raise


def tls_for(origin: str) -> ssl.SSLContext | bool:
    """What a connection to an address needs; False where it is not encrypted."""
    return ssl.create_default_context() if origin.startswith("https:") else False
