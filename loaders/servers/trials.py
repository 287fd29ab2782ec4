"""What a server does not say of itself, tried with requests of one token."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.messages import Message
from ...utils.chat.requests import Request
from ...utils.images.picture import Clip, Picture
from .probe import run_interruptibly, tls_for
from .profiles import Profile
from .wire.answers import Writing
from .wire.payload import Terms, encode
from .wire.transport import Connection, FailedTryError, within

# All of them together, at most: a model may have to be loaded for the first one.
TRIAL_SECONDS = 120.0
# A side that every model takes.
SIDE = 64
# Film frames soon after one another and long after: as texts, the later times have more tokens.
SOON, LATE = (0, 1), (100_000, 100_001)


def last_moment(profile: Profile) -> float:
    """When the trials of one look have to be over, which begin now, by `time.monotonic`."""
    return time.monotonic() + min(TRIAL_SECONDS, profile.timeout_s)


def sees_pictures(
    profile: Profile,
    origin: str,
    terms: Terms,
    until: float,
    check_interrupt: Callable[[], None],
) -> bool | None:
    """Whether a model sees, tried with a small picture; None where that says nothing in time.

    Raises:
        InputError: the key is not there.
    """
    picture = Picture(np.full((SIDE, SIDE, 3), 128, np.uint8))
    return run_interruptibly(_tried(profile, origin, terms, until, picture), check_interrupt)[0]


def takes_films(
    profile: Profile,
    origin: str,
    terms: Terms,
    until: float,
    check_interrupt: Callable[[], None],
) -> bool:
    """Whether films are taken at the times that are told: others have other prompts.

    Raises:
        InputError: the key is not there.
    """
    counts = []
    for numbers in (SOON, LATE):
        film = Clip(np.full((2, SIDE, SIDE, 3), 128, np.uint8), 1.0, numbers, LATE[1] + 1)
        work = _tried(profile, origin, terms, until, film)
        taken, count = run_interruptibly(work, check_interrupt)
        if not taken:
            return False
        counts.append(count)
    return counts[0] < counts[1]


async def _tried(
    profile: Profile, origin: str, terms: Terms, until: float, shown: Picture | Clip
) -> tuple[bool | None, int]:
    """(whether such a request is answered, None where that says nothing; tokens of its prompt)."""
    options = GenerationOptions(max_new_tokens=1, temperature=0.0)
    body = encode(Request((Message("user", (shown, "?")),), options), terms, False).body
    connection = Connection(profile.name, origin, profile.key(), tls_for(origin))
    writing = Writing()
    try:
        await within(until - time.monotonic(), connection.ask(body, writing, lambda: None))
    except FailedTryError as error:
        blind = "vision model" in error.trouble.error.remedy
        return (False if blind and not error.trouble.again else None), 0
    except TimeoutError:
        return None, 0
    finally:
        await connection.close()
    return True, writing.prompt_tokens
