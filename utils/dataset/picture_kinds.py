"""Pictures as a folder run captions them: what is asked, one kind of captions for each preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from ..captions.recipe import Recipe
from ..captions.wording import Wording
from ..chat.composition import MAX_SEED, requests_for
from ..chat.generation_options import OPTION_RANGES, GenerationOptions
from ..chat.requests import Reply, Request
from ..chat.tasks import Task
from ..errors import InputError, Qwen3VLError
from ..files.picture_reader import read_file
from ..images.color import BACKGROUNDS
from ..images.picture import Picture
from ..images.resize import DEFAULT_MAX_PIXELS
from ..roots.allowed_folders import FolderFile
from ..roots.listing import PICTURE_ENDINGS
from .medium import Medium, Subject

# A preset's title and the user's instructions; the task, if it is one, and the words to ask.
Chosen = Callable[[str, str], tuple[Task | None, str]]


@dataclass(frozen=True, slots=True)
class Asking:
    """What is the same for every caption of a run, whatever its preset."""

    model: str
    instructions: str
    system_prompt: str
    seed: int
    options: GenerationOptions | None
    background: str
    making: str = ""  # of the model's files; see `Recipe`

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """A file's own seed: it depends on its content, not on its name or on what is left.

        So a renamed file, or one of a resumed run, gets the same caption.
        """
        own = int.from_bytes(digest[:8], "big")
        return (self.seed + attempt + own) & MAX_SEED


@dataclass(frozen=True, slots=True)
class PictureKind:
    """One kind of caption: what is asked, and how its captions are told from others."""

    recipe: Recipe
    words: str
    task: Task | None
    asking: Asking

    def request(self, media: Picture, part: int, seed: int, halvings: int = 0) -> Request:
        """The request for one picture, which has but one part."""
        asking = self.asking
        request = requests_for(
            [media], self.words, system_prompt=asking.system_prompt, options=asking.options,
            task=self.task, seed=seed,
        )[0]  # fmt: skip
        if not halvings:
            return request
        width, height = media.size_wh
        seen = min(width * height, request.options.max_pixels or DEFAULT_MAX_PIXELS)
        fewer = max(seen >> halvings, int(OPTION_RANGES["max_pixels"][0]))
        return replace(request, options=replace(request.options, min_pixels=None, max_pixels=fewer))

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """See `Asking.seed_for`."""
        return self.asking.seed_for(digest, attempt)

    def misfit(self, answer: str) -> InputError | None:
        """Why an answer is not what the preset asks for; None when it is."""
        problems = self.task.answer.problems(answer) if self.task is not None else ()
        if not problems:
            return None
        return InputError(
            f"The answer is not what the preset wants. {' '.join(problems)}",
            "Change the preset, or use another seed.",
        )

    def answer(self, outcomes: Sequence[Reply | Qwen3VLError]) -> str:
        """The answer's text."""
        (outcome,) = outcomes
        if isinstance(outcome, Qwen3VLError):
            raise outcome
        return outcome.text


def pictures(kinds: dict[str, PictureKind], background: str) -> Medium:
    """The picture files that `read_file` can read, laid on a background of that name."""
    return Medium("picture", PICTURE_ENDINGS, _reader(background), kinds)


def _reader(background: str) -> Callable[[FolderFile], Subject]:
    color = BACKGROUNDS[background]

    def read(file: FolderFile) -> Subject:
        found = read_file(file, color)
        return Subject(found.picture, found.facts, note=found.note)

    return read


def picture_kinds(
    preset: str, more_presets: str, wording: Wording, asking: Asking, chosen: Chosen
) -> dict[str, PictureKind]:
    """By variant: the first preset's kind, whose variant is "", and one for each further line.

    `chosen` gives the task and the words of a preset, those of the machine included.

    Raises:
        InputError: an unknown preset, or one that is named twice.
    """
    titles = [preset, *(line.strip() for line in more_presets.splitlines() if line.strip())]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise InputError(f"The preset {twice!r} is named twice.", "Leave one of them out.")
    made = [
        _kind(title, number > 0, wording, asking, chosen) for number, title in enumerate(titles)
    ]
    return {kind.recipe.variant: kind for kind in made}


def _kind(
    title: str, further: bool, wording: Wording, asking: Asking, chosen: Chosen
) -> PictureKind:
    task, words = chosen(title, asking.instructions)
    asking = replace(asking, system_prompt=asking.system_prompt or (task.system if task else ""))
    short = task.id.removeprefix("caption_") if task else "custom"
    options = asdict(asking.options) if asking.options else {}
    facts = {
        "model": asking.model,
        "preset": title,
        "prompt": words,
        "system_prompt": asking.system_prompt,
        "options": {name: value for name, value in options.items() if value not in (None, ())},
        "background": asking.background,
        "run_seed": asking.seed,
    }
    if task is not None and task.answer:
        facts["answer"] = asdict(task.answer)
    recipe = Recipe(short if further else "", wording, facts, asking.making)
    return PictureKind(recipe, words, task, asking)
