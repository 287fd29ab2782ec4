"""Video: words about films."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.host.port import host
from ...utils.chat.composition import CUSTOM, MAX_SEED, messages_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tasks import tasks_in
from ...utils.conversation.transcript import chat_of
from ...utils.errors import GenerationError, InputError, Qwen3VLError
from ...utils.video.footage import Footage
from ..forms import sockets
from ..forms.film_widgets import FilmSettings, film_inputs, frames_told
from ..forms.search_words import search_words
from ..forms.widgets import answer_outputs, seed_input
from ..shared.film_source import FilmSource, film_sources, first
from ..shared.running import node_id_of, report, run

GROUP, MOMENT_GROUP = "video", "video_moment"


def film_presets() -> list[str]:
    """The menu of presets: what is asked about the whole film, a moment, one's own words."""
    tasks = [*tasks_in(GROUP), *tasks_in(MOMENT_GROUP)]
    return [*(task.title for task in tasks), CUSTOM]


def film_prompt(preset: str, instructions: str, moment: float) -> tuple[str, float | None]:
    """The words to ask, and the moment that they are about, if it is one.

    Raises:
        InputError: an unknown preset, or the custom one without words.
    """
    own = instructions.strip()
    for task in tasks_in(GROUP):
        if task.title == preset:
            return f"{task.fill()} {own}".strip(), None
    for task in tasks_in(MOMENT_GROUP):
        if task.title == preset:
            second = f"{moment:.2f}".rstrip("0").rstrip(".")
            return f"{task.fill(second=second)} {own}".strip(), moment
    if preset != CUSTOM:
        raise InputError(f"There is no preset {preset!r}.", "Choose one from the menu.")
    if not own:
        raise InputError("The custom prompt is empty.", "Write a question, or choose a preset.")
    return own, None


class _Showing:
    """Requests about films, made as they are wanted: a list of films may not fit into memory."""

    def __init__(self, sources: Sequence[FilmSource], settings: FilmSettings):
        self._sources, self._settings = sources, settings
        self.lines: list[str] = []
        # Of a single film; the frames of many are not to be held together.
        self.only: Request | None = None

    def requests(
        self, prompts: Sequence[tuple[str, float | None]], system: str, options: Any, seed: int
    ) -> Iterator[Request]:
        for number, source in enumerate(self._sources):
            words, moment = prompts[number]
            try:
                footage = source.footage(self._settings, moment)
            except Qwen3VLError as error:
                if len(self._sources) == 1:
                    raise
                problem = f"Film {number + 1} of {len(self._sources)}: {error.problem}"
                raise type(error)(problem, error.remedy) from None
            self.lines += _told(number, source.name, footage)
            request = Request(
                messages_for((footage.clip,), words, system),
                options or GenerationOptions(),
                seed=(seed + number) & MAX_SEED,
            )
            self.only = request if len(self._sources) == 1 else None
            yield request

    def chats(self, replies: Sequence[Reply]) -> list[Any]:
        """What was said about the only film, to go on with; of several films, nothing."""
        return [chat_of(self.only, replies[0]) if self.only else host().nothing()]


def _told(number: int, name: str, footage: Footage) -> list[str]:
    height, width = footage.clip.frames.shape[1:3]
    line = (
        f"{number + 1}: {name}, {frames_told(footage.clip.times)} of {footage.seconds:.2f} s, "
        f"{width} x {height} pixels, {footage.cost.decoded} decoded"
    )
    return [line, *(f"   {note}" for note in footage.notes)]


def _answers(
    model: Model, requests: Iterator[Request], names: Sequence[str], node_id: str | None
) -> list[Reply]:
    """Every reply, in the order of the films.

    Raises:
        GenerationError: the first film that could not be answered about, by its number.
    """
    replies: dict[int, Reply] = {}
    outcomes = run(model, requests, len(names), node_id, title=lambda index: names[index])
    with closing(outcomes):
        for index, outcome in outcomes:
            if isinstance(outcome, Qwen3VLError):
                if len(names) == 1:
                    raise outcome
                problem = f"Film {index + 1} of {len(names)}, {names[index]}: {outcome.problem}"
                raise GenerationError(problem, outcome.remedy) from outcome
            replies[index] = outcome
    return [replies[index] for index in range(len(names))]


class Qwen3VLVideo(io.ComfyNode):
    """Describes films and answers questions about them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLVideo",
            display_name="Qwen3-VL Video",
            category=sockets.CATEGORY,
            description="Describes films, sums them up, and answers questions about them or about "
            "a moment; a list of films gives a list of answers.",
            search_aliases=search_words("Qwen3VLVideo"),
            inputs=[
                sockets.Model.Input("model"),
                *film_inputs(),
                io.Combo.Input("preset", options=film_presets()),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    default="",
                    tooltip="Added to the preset's prompt; alone with the custom preset. A list "
                    "has one for each film.",
                ),
                io.Float.Input(
                    "moment",
                    default=0.0,
                    min=0.0,
                    max=1_000_000.0,
                    step=0.01,
                    tooltip="With the preset about a moment: its second. Of a long film the "
                    "minute around it is shown.",
                ),
                io.String.Input("system_prompt", multiline=True, default="", advanced=True),
                seed_input(),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                *answer_outputs(),
                sockets.Chat.Output("chat", display_name="chat", is_output_list=True),
            ],
            hidden=[io.Hidden.unique_id],
            is_input_list=True,
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: list[Model],
        preset: list[str],
        instructions: list[str],
        moment: list[float],
        system_prompt: list[str],
        seed: list[int],
        images_fps: list[float],
        video: list[Any] | None = None,
        images: list[torch.Tensor] | None = None,
        options: list[GenerationOptions] | None = None,
        **film: list[Any],
    ) -> io.NodeOutput:
        """Every input comes as a list; one answer for each film."""
        sources = film_sources(video or (), images or (), images_fps[0])
        settings = FilmSettings.of(**{name: values[0] for name, values in film.items()})
        prompts = [
            film_prompt(preset[0], words, moment[0]) for words in _for_each(instructions, sources)
        ]
        showing = _Showing(sources, settings)
        requests = showing.requests(prompts, system_prompt[0], first(options), seed[0])
        names = [source.name for source in sources]
        replies = _answers(model[0], requests, names, node_id_of(cls))
        how = "\n".join([*showing.lines, report(replies)])
        texts = [reply.text for reply in replies]
        thinking = [reply.thinking for reply in replies]
        ui = {"text": texts, "report": [how]}
        return io.NodeOutput(texts, thinking, how, showing.chats(replies), ui=ui)


def _for_each(values: list[str], sources: Sequence[FilmSource]) -> list[str]:
    """One value for each film, out of one for all or as many as there are films.

    Raises:
        InputError: another number.
    """
    if len(values) == 1:
        return values * len(sources)
    if len(values) != len(sources):
        raise InputError(
            f"There are {len(values)} instructions for {len(sources)} films.",
            "Give one for all, or one for each film in the same order.",
        )
    return values
