"""Films as a folder run captions them: the same presets, asked about frames with their seconds."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from ..captions.recipe import Recipe
from ..chat.messages import Message
from ..chat.requests import Reply, Request
from ..errors import InputError, Qwen3VLError
from ..files.fingerprint import DIGEST_BYTES, FileFacts, file_stamp
from ..images.picture import Clip
from ..roots.allowed_folders import FolderFile
from ..video.containers import FILM_ENDINGS
from ..video.film import open_film
from ..video.footage import film_footage
from ..video.frame_budget import FrameBudget
from ..video.moments import FrameChoice
from .medium import Medium, Subject
from .picture_kinds import PictureKind

# A picture that moves is captioned as a picture.
FOLDER_ENDINGS = tuple(ending for ending in FILM_ENDINGS if ending != ".gif")
# A clip takes as much memory as many pictures.
FILMS_AHEAD = 1
_HASHED_AT_ONCE = 1 << 20
CHOICE, BUDGET = FrameChoice(), FrameBudget()


@dataclass(frozen=True, slots=True)
class FilmKind:
    """One kind of captions of films, made of the pictures' kind of the same preset."""

    recipe: Recipe
    words: str
    pictures: PictureKind

    def request(self, media: Clip, part: int, seed: int, halvings: int = 0) -> Request:
        """The request for one film, which has but one part; half the frames for each halving."""
        asking, task = self.pictures.asking, self.pictures.task
        for _ in range(halvings):
            media = _half(media)
        messages = (Message("user", (media, self.words)),)
        if asking.system_prompt.strip():
            messages = (Message("system", (asking.system_prompt.strip(),)), *messages)
        request = Request(messages, seed=seed)
        options = asking.options or request.options
        return replace(request, options=options.filled_from(task.options) if task else options)

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """See `Asking.seed_for`."""
        return self.pictures.seed_for(digest, attempt)

    def misfit(self, answer: str) -> InputError | None:
        """Why an answer is not what the preset asks for; None when it is."""
        return self.pictures.misfit(answer)

    def answer(self, outcomes: Sequence[Reply | Qwen3VLError]) -> str:
        """The answer's text."""
        return self.pictures.answer(outcomes)


def films(kinds: Mapping[str, PictureKind]) -> Medium:
    """The film files that FFmpeg reads, asked what the pictures of these kinds are asked."""
    made: dict[str, FilmKind] = {variant: _kind(kind) for variant, kind in kinds.items()}
    return Medium("film", FOLDER_ENDINGS, _read, made, FILMS_AHEAD)


def _kind(kind: PictureKind) -> FilmKind:
    words = film_words(kind)
    facts = {**kind.recipe.facts, "prompt": words, "frames": f"{CHOICE.rate:g} a second"}
    return FilmKind(replace(kind.recipe, facts=facts), words, kind)


def film_words(kind: PictureKind) -> str:
    """What a film is asked: the preset's prompt about a video; the user's own words stay."""
    own = kind.words
    prompt = kind.task.fill() if kind.task and not kind.task.fields else ""
    if not prompt or not own.startswith(prompt):
        return own
    said = re.sub(r"\b([Ii])mage", lambda found: "Video" if found[1] == "I" else "video", prompt)
    return said + own[len(prompt) :]


def _read(file: FolderFile) -> Subject:
    try:
        with file.open() as opened:
            facts = _facts(opened)
            with open_film(opened, file.name) as film:
                footage = film_footage(film, CHOICE, BUDGET)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{file.name} cannot be opened ({reason}).", "Check that it is there and readable."
        ) from None
    return Subject(footage.clip, facts, note="; ".join(footage.notes))


def _facts(opened: BinaryIO) -> FileFacts:
    """Digest and stamp of a whole file, of which little is in memory at a time."""
    hashed = hashlib.sha256()
    while data := opened.read(_HASHED_AT_ONCE):
        hashed.update(data)
    stamp = file_stamp(os.fstat(opened.fileno()))
    return FileFacts(hashed.digest()[:DIGEST_BYTES], stamp)


def _half(clip: Clip) -> Clip:
    """The clip with every second frame."""
    if len(clip.frames) < 2:
        return clip
    return replace(
        clip, frames=clip.frames[::2], indices=clip.indices[::2], seconds=clip.seconds[::2]
    )
