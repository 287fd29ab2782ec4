"""Events: what happens when in a film, and where a thing is over time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import messages_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tasks import Task, task
from ...utils.detection.boxes import Detections
from ...utils.detection.socket_values import to_box_value
from ...utils.drawing.annotate import draw_detections
from ...utils.drawing.contact_sheet import Card, contact_sheet
from ...utils.errors import InputError, ParseError
from ...utils.images.picture import Clip, Picture
from ...utils.images.tensors import image_from_pictures
from ...utils.parsing.films.events import parse_events
from ...utils.parsing.films.tracked_objects import parse_sightings
from ...utils.video.footage import Footage
from ...utils.video.subtitles import to_srt, to_vtt
from ...utils.video.timeline import Event, Events, by_frame, seen_spans
from ..forms import sockets
from ..forms.film_widgets import FilmSettings, film_inputs, frames_told
from ..forms.search_words import search_words
from ..forms.widgets import STOP, seed_input
from ..shared.film_source import FilmSource, film_sources
from ..shared.grounding import unreadable_input
from ..shared.running import answer_all, node_id_of, report

# Stored in workflows: append only.
EVENTS, THING = "events", "where a thing is"
MOST_CARDS = 240
EVENT_NOTES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class _Found:
    """What an answer says of a film: its events, and what is on each frame that was shown."""

    events: Events
    frames: Sequence[Detections]
    as_json: list[dict[str, Any]]


def film_task(find: str, thing: str, instructions: str) -> tuple[Task, str]:
    """The task and the words that ask.

    Raises:
        InputError: a thing is looked for, but none is named.
    """
    own = instructions.strip()
    if find == EVENTS:
        chosen = task("video_events")
        return chosen, f"{chosen.fill()} {own}".strip()
    if not thing.strip():
        raise InputError("There is nothing to look for.", "Write what, e.g. red star.")
    chosen = task("video_grounding")
    return chosen, f"{chosen.fill(thing=thing)} {own}".strip()


def _read(text: str, find: str, footage: Footage) -> _Found:
    """The answer as values.

    Raises:
        ParseError: it names times or places, but none of them can be read.
    """
    clip = footage.clip
    height, width = clip.frames.shape[1:3]
    if find == EVENTS:
        events = parse_events(text, footage.ends)
        nothing = [Detections(width, height) for _ in clip.times]
        return _Found(events, nothing, events.to_json_values())
    found = parse_sightings(text, width, height)
    frames = by_frame(found, clip.times, width, height)
    events = seen_spans(found, clip.times, footage.ends)
    notes = frames[0].notes if frames else ()
    places = [
        {"time": round(sighting.seconds, 3)} | box
        for sighting in found.items
        for box in to_box_value(Detections(width, height, (sighting.thing,)))
    ]
    return _Found(replace(events, notes=notes), frames, places)


def _found_in(reply: Reply, find: str, footage: Footage, unreadable: str) -> _Found:
    try:
        found = _read(reply.text, find, footage)
    except ParseError as error:
        if unreadable == STOP:
            raise
        empty = _read("[]", find, footage)
        events = replace(empty.events, notes=(f"unreadable. {error.problem}",))
        return replace(empty, events=events)
    return replace(
        found, events=replace(found.events, truncated=found.events.truncated or reply.truncated)
    )


def _sheet(source: FilmSource, events: Events, begins: float, columns: int) -> torch.Tensor:
    """An IMAGE with the middle frame of each event above its words."""
    listed = events.items[:MOST_CARDS] or (Event(begins, begins, "(no events)"),)
    # A film is read forwards; the cards keep the order of the answer.
    forwards = sorted(range(len(listed)), key=lambda number: listed[number].middle)
    moments = [max(0.0, listed[number].middle - begins) for number in forwards]
    pictures = dict(zip(forwards, source.pictures_at(moments), strict=False))
    cards = [  # a film that is cut off has no picture at its end
        Card(number + 1, event.when if events.items else "", pictures.get(number), event.text)
        for number, event in enumerate(listed)
    ]
    return image_from_pictures([contact_sheet(cards, columns)])


def _drawn(clip: Clip, frames: Sequence[Detections]) -> torch.Tensor:
    """The frames that the model saw, with what is on them drawn."""
    pairs = zip(clip.frames, frames, strict=True)
    pictures = [
        draw_detections(Picture(pixels), there).pixels if there.items else pixels
        for pixels, there in pairs
    ]
    return image_from_pictures(pictures)


def _told(source: FilmSource, footage: Footage, find: str, found: _Found, reply: Reply) -> str:
    events = found.events
    line = f"{source.name}: {frames_told(footage.clip.times)} of {footage.seconds:.2f} s, "
    line += f"{len(found.as_json)} {'events' if find == EVENTS else 'boxes'}"
    if events.truncated:
        line += "; the answer was cut off, more may be there"
    if events.repaired:
        line += "; the answer was not JSON of the form asked for and was repaired"
    notes = [*footage.notes, *events.notes]
    if len(events) > MOST_CARDS:
        notes.append(f"the sheet shows the first {MOST_CARDS}")
    more = len(notes) - EVENT_NOTES_SHOWN
    lines = [line, *(f"   {note}" for note in notes[:EVENT_NOTES_SHOWN])]
    if more > 0:
        lines.append(f"   and {more} more notes")
    return "\n".join([*lines, report([reply])])


class Qwen3VLEvents(io.ComfyNode):
    """What happens when, and where a thing is over time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLEvents",
            display_name="Qwen3-VL Video Events",
            category=sockets.CATEGORY,
            description="Finds what happens when in a film, or where a thing is on its frames: "
            "JSON, subtitles, a contact sheet, boxes.",
            search_aliases=search_words("Qwen3VLEvents"),
            inputs=[
                sockets.Model.Input("model"),
                *film_inputs(),
                io.Combo.Input(
                    "find",
                    options=[EVENTS, THING],
                    default=EVENTS,
                    tooltip="What happens from when to when, or a box of one thing on every frame.",
                ),
                io.String.Input(
                    "thing",
                    default="",
                    tooltip="With find: where a thing is. What to look for, e.g. red star.",
                ),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    default="",
                    tooltip="Added to the prompt, e.g. a language or what counts as an event.",
                ),
                io.Int.Input(
                    "sheet_columns",
                    default=3,
                    min=1,
                    max=12,
                    tooltip="Pictures in a row of the contact sheet.",
                ),
                seed_input(),
                unreadable_input(),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("answer", display_name="answer"),
                io.String.Output("json", display_name="json"),
                io.String.Output("srt", display_name="srt"),
                io.String.Output("vtt", display_name="vtt"),
                io.Image.Output("sheet", display_name="sheet"),
                io.Image.Output("frames", display_name="frames"),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        images_fps: float,
        find: str,
        thing: str,
        instructions: str,
        sheet_columns: int,
        seed: int,
        unreadable: str,
        video: Any = None,
        images: torch.Tensor | None = None,
        options: GenerationOptions | None = None,
        **film: Any,
    ) -> io.NodeOutput:
        """One film; ComfyUI runs the node once for each film of a list."""
        sources = film_sources([video], [images], images_fps)
        if len(sources) > 1:
            raise InputError(
                "Both a video and images are connected.", "Connect one of them: one film at a time."
            )
        (source,), settings = sources, FilmSettings.of(**film)
        chosen, words = film_task(find, thing, instructions)
        footage = source.footage(settings)
        request = Request(
            messages_for((footage.clip,), words),
            (options or GenerationOptions()).filled_from(chosen.options),
            seed,
        )
        (reply,) = answer_all(model, [request], node_id_of(cls))
        found = _found_in(reply, find, footage, unreadable)
        sheet = _sheet(source, found.events, footage.begins, sheet_columns)
        how = _told(source, footage, find, found, reply)
        texts = {
            "json": json.dumps(found.as_json, ensure_ascii=False),
            "srt": to_srt(found.events),
            "vtt": to_vtt(found.events),
        }
        # No picture: beside a VIDEO socket a browser takes a preview for a film.
        words = "\n".join(f"{event.when}  {event.text}" for event in found.events) or reply.text
        ui = {"text": [words], "answer": [reply.text], "report": [how]}
        return io.NodeOutput(
            reply.text,
            *texts.values(),
            sheet,
            _drawn(footage.clip, found.frames),
            [to_box_value(there) for there in found.frames],
            how,
            ui=ui | {name: [text] for name, text in texts.items()},
        )
