"""Turns a request into the body that is sent: sized pictures, wire messages, JSON as bytes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ....utils.chat.generation_options import GenerationOptions
from ....utils.chat.requests import Request
from ....utils.chat.sampling import Edition, Sampling, resolve
from ....utils.errors import GenerationError, InputError
from ....utils.images.picture import Clip, Picture
from ....utils.images.resize import TOKEN_SIDE, fit_size_wh, resize_clip, resize_picture
from ....utils.text.control_tokens import defused_part
from ..dialects.dialect import Dialect, Json, Wanted
from .parts import (
    FRAMES_A_TIME,
    DataUri,
    film_part,
    film_times,
    frame_parts,
    picture_part,
    text_part,
)

# Tokens that a chat template adds around a message, and around a picture; both generously.
MESSAGE_TOKENS, VISUAL_TOKENS = 16, 24
# The official limits of all frames of a clip together.
CLIP_PIXELS = (4096, 16_384 * TOKEN_SIDE * TOKEN_SIDE)
# Stands for a picture until it is put in; drawn anew by each process, and never sent.
_MARK = secrets.token_hex(16)
FILM_AS_PICTURES = "the film went as pictures, the first of every two frames"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a server is asked: what its profile and its own words settle for every request."""

    dialect: Dialect
    model: str
    edition: Edition = "instruct"
    context: int = 0
    pictures: str = "png"
    min_pixels: int = 256 * 256
    max_pixels: int = 1280 * TOKEN_SIDE * TOKEN_SIDE
    sees: bool | None = None
    takes_films: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """A body ready to be sent, and what the server gets otherwise than wanted, for the user."""

    body: bytes
    notes: tuple[str, ...]


def encode(request: Request, terms: Terms, stream: bool) -> Payload:
    """The body of one request; safe in any thread, and it takes most of its time outside Python.

    Raises:
        InputError: a picture whose shape no model takes, or a schema that is not JSON.
        GenerationError: it cannot fit into the server's context.
    """
    check_sees(request, terms)
    sized = sized_parts(request, terms)
    wanted = wanted_of(request, sized, terms, stream or terms.dialect.always_streams)
    messages = wire_messages(request, sized, terms, wanted.film is not None)
    fields = {"model": terms.model, "messages": messages, **terms.dialect.fields(wanted)}
    body = as_json(fields)
    title = terms.dialect.title
    notes = [f"without {name}, which {title} does not take" for name in terms.dialect.unmet(wanted)]
    if wanted.film is None and any(isinstance(part, Clip) for part in _parts(request)):
        notes.append(FILM_AS_PICTURES)
    return Payload(body, tuple(notes))


def as_json(value: Json) -> bytes:
    """JSON in ASCII. Pictures are put in afterwards: looking through one for letters to escape
    takes longer than sending it.
    """
    pictures: list[DataUri] = []

    def without_pictures(part: Any) -> Any:
        if isinstance(part, DataUri):
            pictures.append(part)
            return _MARK
        if isinstance(part, dict):
            return {key: without_pictures(inner) for key, inner in part.items()}
        return [without_pictures(inner) for inner in part] if isinstance(part, list) else part

    text = json.dumps(without_pictures(value), ensure_ascii=True, separators=(",", ":"))
    between = text.split(_MARK)
    pairs = zip(between, [*pictures, ""], strict=True)
    return "".join(word for pair in pairs for word in pair).encode("ascii")


def wanted_of(
    request: Request, sized: dict[int, Picture | Clip], terms: Terms, stream: bool
) -> Wanted:
    """The answer that is wanted, its length bounded by what the context leaves.

    Raises:
        InputError, GenerationError: see `encode`.
    """
    sampling = resolve(request.options, terms.edition, request.has_vision)
    pixels = [p.size_wh[0] * p.size_wh[1] for p in sized.values() if isinstance(p, Picture)]
    clips = [part for part in _parts(request) if isinstance(part, Clip)]
    return Wanted(
        model=terms.model,
        sampling=_bounded(sampling, prompt_bound(request, sized), terms.context),
        seed=request.seed,
        stop=request.options.stop,
        schema=_schema(request.options),
        thinking=request.options.thinking,
        thinking_budget=request.options.thinking_budget or 0,
        stream=stream,
        largest_pixels=max(pixels, default=0),
        film=film_times(clips) if terms.takes_films else None,
    )


def sized_parts(request: Request, terms: Terms) -> dict[int, Picture | Clip]:
    """The request's pictures and clips by their identity, at the size the model sees.

    Sides are multiples of 32, so that no server has to fit them to its grid in its own way.
    """
    wanted = request.options
    # A smallest size that was asked for counts more than a largest one that nobody chose.
    most = wanted.max_pixels or max(terms.max_pixels, wanted.min_pixels or 0)
    least = min(wanted.min_pixels or terms.min_pixels, most)
    sized: dict[int, Picture | Clip] = {}
    for part in _parts(request):
        if isinstance(part, Picture):
            size_wh = wanted.exact_size_wh or fit_size_wh(*part.size_wh, least, most)
            sized[id(part)] = resize_picture(part, size_wh)
        elif isinstance(part, Clip):
            sized[id(part)] = resize_clip(part, *CLIP_PIXELS)
    return sized


def wire_messages(
    request: Request, sized: dict[int, Picture | Clip], terms: Terms, films: bool = False
) -> list[Json]:
    """The chat as OpenAI writes it; text alone stays text, which every template takes.

    `films` go as such, else picture by picture.
    """
    messages = []
    pictures = 0
    for message in request.messages:
        content: list[Json] = []
        for part in message.parts:
            if isinstance(part, Picture):
                pictures += 1
                if request.number_pictures:
                    content.append(text_part(f"Picture {pictures}: "))
            seen = part if isinstance(part, str) else sized[id(part)]
            content += _wire_part(seen, terms, message.role, films)
        only_text = all(piece["type"] == "text" for piece in content)
        whole = "".join(piece["text"] for piece in content) if only_text else content
        messages.append({"role": message.role, "content": whole})
    return messages


def prompt_bound(request: Request, sized: dict[int, Picture | Clip]) -> int:
    """No fewer tokens than the prompt has: a byte of text is a token at most."""
    bound = MESSAGE_TOKENS
    for message in request.messages:
        bound += MESSAGE_TOKENS
        for part in message.parts:
            if isinstance(part, str):
                bound += len(part.encode("utf-8", "surrogatepass"))
                continue
            seen = sized[id(part)]
            frames = -(-len(seen.frames) // FRAMES_A_TIME) if isinstance(seen, Clip) else 1
            height, width = (seen.frames[0] if isinstance(seen, Clip) else seen.pixels).shape[:2]
            bound += frames * (height * width // TOKEN_SIDE**2 + VISUAL_TOKENS)
    return bound


def _bounded(sampling: Sampling, bound: int, context: int) -> Sampling:
    """The longest answer for which there is room; servers refuse a longer one outright.

    The bound counts a text's bytes, so a long text may have more room than it says: such a
    request is given a quarter of the context, and the server has the last word.
    """
    if not context:
        return sampling
    room = max(context - bound, context // 4)
    return replace(sampling, max_new_tokens=min(sampling.max_new_tokens, room))


def _schema(options: GenerationOptions) -> dict[str, Any] | None:
    if not options.json_schema:
        return None
    try:
        schema = json.loads(options.json_schema)
    except (ValueError, RecursionError) as error:
        raise InputError(f"The JSON schema is not JSON ({error}).", "Correct it.") from error
    if not isinstance(schema, dict):
        raise InputError("The JSON schema is no object.", 'Begin it with {"type": …}.')
    return schema


def _parts(request: Request) -> Iterator[str | Picture | Clip]:
    return (part for message in request.messages for part in message.parts)


def _wire_part(part: str | Picture | Clip, terms: Terms, role: str, films: bool) -> list[Json]:
    if isinstance(part, str):
        return [text_part(defused_part(part, role))]
    if isinstance(part, Picture):
        return [picture_part(part.pixels, terms.pictures)]
    return [film_part(part)] if films else frame_parts(part, terms.pictures)


def check_sees(request: Request, terms: Terms) -> None:
    """Refuse pictures for a model that is known not to see.

    Raises:
        GenerationError: naming the model.
    """
    if terms.sees is False and request.has_vision:
        raise GenerationError(
            f"The model {terms.model!r} on this server sees no pictures.",
            "Start the server with a vision model (llama.cpp: with its --mmproj file).",
        )
