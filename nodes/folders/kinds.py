"""The kinds of captions a folder run makes: one for each preset, with its recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ...utils.captions.recipe import Recipe
from ...utils.captions.wording import Wording
from ...utils.chat.composition import MAX_SEED, requests_for
from ...utils.chat.options import OPTION_RANGES, GenerationOptions
from ...utils.chat.requests import Request
from ...utils.chat.tasks import Task
from ...utils.errors import InputError
from ...utils.images.picture import Picture
from ...utils.images.resize import DEFAULT_MAX_PIXELS
from ..widgets_asking import chosen_caption


@dataclass(frozen=True, slots=True)
class Asking:
    """What is the same for every caption of a run, whatever its preset."""

    model: str
    instructions: str
    system_prompt: str
    seed: int
    options: GenerationOptions | None
    background: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of caption: what is asked, and how its captions are told from others."""

    recipe: Recipe
    words: str
    task: Task | None
    asking: Asking

    def request(self, picture: Picture, seed: int, halvings: int = 0) -> Request:
        """The request for one picture; seen with half its pixels for each of `halvings`."""
        asking = self.asking
        request = requests_for(
            [picture], self.words, system_prompt=asking.system_prompt, options=asking.options,
            task=self.task, seed=seed,
        )[0]  # fmt: skip
        if not halvings:
            return request
        width, height = picture.size_wh
        seen = min(width * height, request.options.max_pixels or DEFAULT_MAX_PIXELS)
        fewer = max(seen >> halvings, int(OPTION_RANGES["max_pixels"][0]))
        return replace(request, options=replace(request.options, min_pixels=None, max_pixels=fewer))

    def misfit(self, answer: str) -> InputError | None:
        """Why an answer is not what the preset asks for; None when it is."""
        problems = self.task.answer.problems(answer) if self.task is not None else ()
        if not problems:
            return None
        return InputError(
            f"The answer is not what the preset wants. {' '.join(problems)}",
            "Change the preset, or use another seed.",
        )

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """A picture's own seed: it depends on its content, not on its name or on what is left.

        So a renamed picture, or one of a resumed run, gets the same caption.
        """
        own = int.from_bytes(digest[:8], "big")
        return (self.asking.seed + attempt + own) & MAX_SEED


def kinds(preset: str, more_presets: str, wording: Wording, asking: Asking) -> dict[str, Kind]:
    """By variant: the first preset's kind, whose variant is "", and one for each further line.

    Raises:
        InputError: an unknown preset, or one that is named twice.
    """
    titles = [preset, *(line.strip() for line in more_presets.splitlines() if line.strip())]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise InputError(f"The preset {twice!r} is named twice.", "Leave one of them out.")
    made = [_kind(title, number > 0, wording, asking) for number, title in enumerate(titles)]
    return {kind.recipe.variant: kind for kind in made}


def _kind(title: str, further: bool, wording: Wording, asking: Asking) -> Kind:
    task, words = chosen_caption(title, asking.instructions)
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
    return Kind(Recipe(short if further else "", wording, facts), words, task, asking)
