"""What becomes of a request that went wrong: asked again, when, or failed, and in which words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from ....utils.errors import ContextFullError, GenerationError, Qwen3VLError, TooLargeError

# So much of what a server says is passed on.
SAID_CHARACTERS = 300
# The longest wait that a server can ask for in one word; beyond it nobody would still be there.
MAX_RETRY_AFTER_S = 24 * 3600.0
# No model holds fewer tokens; a smaller number in a server's words counts something else.
LEAST_CONTEXT = 256
AUTH, BUSY = (401, 403), (408, 409, 425, 429, 502, 503, 504, 529)
_TOO_LONG = re.compile(
    r"context|max_model_len|too long|maximum.{0,20}length|exceed.{0,40}token"
    r"|token count.{0,20}exceed|too many tokens|reduce the length|range of input length",
    re.I,
)
_TOO_BIG_BODY = re.compile(r"(request|body|payload|entity).{0,20}too large", re.I)
_BLIND = re.compile(
    r"not (a )?multimodal|mmproj|no vision|not support.{0,30}(image|vision|multimodal)"
    r"|(image|vision).{0,40}not (support|allow)|at most 0 image"
    r"|missing data required for image|image_url is only supported|content.{0,10}must be a string",
    re.I,
)
_FILTERED = re.compile(r"inappropriate content|data_inspection|content_filter", re.I)
_NO_MODEL = re.compile(
    r"model.{0,200}(not found|not exist|unknown|not loaded|no such)", re.I | re.S
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A try that failed.

    `again` says whether another may succeed, `waits` whether that is only a matter of time (the
    server is away, loading or busy), and `after_s` when it asks to be asked again, in seconds.
    `down` says that nothing at its address answers at all, `busy` that it has too much to do.
    """

    error: Qwen3VLError
    again: bool = False
    waits: bool = False
    after_s: float | None = None
    down: bool = False
    busy: bool = False


def unreachable(server: str, why: str) -> Trouble:
    """Nothing answered, or the line broke before the answer began."""
    error = GenerationError(
        f"The server {server!r} cannot be reached: {why}.",
        "Start it, or correct its origin in qwen3vl.toml.",
    )
    return Trouble(error, again=True, waits=True, down=True)


def untrusted(server: str) -> Trouble:
    """Its certificate does not hold; asking again changes nothing."""
    error = GenerationError(
        f"The server {server!r} shows a certificate that cannot be trusted.",
        "Give it a valid one, or reach it over http inside your own network.",
    )
    return Trouble(error)


def unencrypted(server: str) -> Trouble:
    """It answers https with something else, most likely with plain http."""
    error = GenerationError(
        f"The server {server!r} does not speak https.",
        "Write its origin in qwen3vl.toml with http:// if it is inside your own network.",
    )
    return Trouble(error)


def broken(server: str, why: str) -> Trouble:
    """An answer came, but it is none."""
    error = GenerationError(
        f"The answer of the server {server!r} cannot be used: {why}.",
        "Look at the server's log, and whether its origin in qwen3vl.toml is the right one.",
    )
    return Trouble(error, again=True)


def too_slow(server: str, seconds: float, last: Trouble | None = None) -> GenerationError:
    """The deadline of one request has passed; `last` is what had gone wrong before."""
    before = f" Before that: {last.error.problem}" if last else ""
    return GenerationError(
        f"The server {server!r} gave no whole answer within {seconds:g} s.{before}",
        "Lower max_new_tokens, or raise timeout_s in qwen3vl.toml.",
    )


def refused(server: str, status: int, headers: Mapping[str, str], said: str, now: float) -> Trouble:
    """A status that is no success. `said` are the server's words, `now` its time as Unix seconds.

    Sources: RFC 9110 (statuses, Retry-After), and what vLLM, SGLang, llama.cpp and OpenAI send.
    """
    words = f" It says: {said[:SAID_CHARACTERS]}" if said else ""
    told = f"The server {server!r} answered with status {status}.{words}"
    if status in BUSY:
        error = GenerationError(told, "Wait until it is ready, or lower in_flight in qwen3vl.toml.")
        after = retry_after_s(headers, now)
        return Trouble(error, True, True, after, busy=status in (429, 503, 529))
    if status >= 500 and not _BLIND.search(said):  # llama.cpp says so with a 500
        return Trouble(GenerationError(told, "Look at the server's log."), again=True)
    return Trouble(_final(server, status, said, told))


def told_inside(server: str, said: str) -> Trouble:
    """An error in place of an answer, with a status of success: known words decide, as if refused.

    Source: LM Studio's and llama.cpp's streams, and LM Studio's answers at unknown addresses.
    """
    told = f"The server {server!r} answered with an error. It says: {said[:SAID_CHARACTERS]}"
    if any(known.search(said) for known in (_BLIND, _TOO_LONG, _NO_MODEL, _FILTERED)):
        return Trouble(_final(server, 400, said, told))
    return broken(server, f"it is an error. It says: {said[:SAID_CHARACTERS]}")


def _final(server: str, status: int, said: str, told: str) -> Qwen3VLError:
    if 300 <= status < 400:
        problem = f"The server {server!r} sends us on to another address (status {status})."
        remedy = "That is not followed: write the right origin into qwen3vl.toml."
        return GenerationError(problem, remedy)
    if status in AUTH:
        return GenerationError(told, "Check the key in the variable that key_variable names.")
    if _FILTERED.search(said):
        return GenerationError(told, "Its filter refuses this picture or text: leave it out.")
    if _BLIND.search(said):
        return GenerationError(told, "Start the server with a vision model (and its mmproj file).")
    if status == 413 or (status == 400 and _TOO_BIG_BODY.search(said)):
        remedy = "Use fewer or smaller pictures, or pictures = 'jpeg' in qwen3vl.toml."
        return TooLargeError(told, remedy)
    if _TOO_LONG.search(said):
        remedy = (
            "Use fewer or smaller pictures (max_picture_tokens in the options), a shorter text, or "
            "start the server with more context."
        )
        return ContextFullError(told, remedy, _excess(said))
    if status == 404 or _NO_MODEL.search(said):
        return GenerationError(told, "Choose a model that the server has; its node lists them.")
    return GenerationError(told, "Look at the settings, and at the server's log.")


def _excess(said: str) -> int:
    """How many tokens are too many, by the largest and smallest count in a server's words."""
    counts = [n for n in map(int, re.findall(r"\d{2,9}", said)) if n >= LEAST_CONTEXT]
    return max(1, max(counts) - min(counts)) if counts else 1


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """When to ask again, by whichever header says it; None where none does, or none readable."""
    if (value := _number(headers.get("retry-after-ms"))) is not None:
        return _within(value / 1000)
    text = (headers.get("retry-after") or "").strip()
    if (value := _number(text)) is not None:
        return _within(value)
    try:
        date = parsedate_to_datetime(text)
        # One of its three forms names no zone: it is GMT all the same.
        aware = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        return _within(aware.timestamp() - now)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value and value >= 0 else None  # NaN is not itself


def _within(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)
