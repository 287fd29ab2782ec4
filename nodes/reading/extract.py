"""Extract: the values of a form as checked JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import MAX_SEED, requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.messages import Message
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tasks import Task, task
from ...utils.detection.boxes import Box, Detection, Detections
from ...utils.detection.socket_values import to_box_value
from ...utils.documents.value_tables import as_word, to_csv, to_jsonl
from ...utils.errors import ParseError
from ...utils.images.picture import Picture
from ...utils.images.tensors import pictures_from_tensor
from ...utils.parsing.fields import Filled, pick, read_answer, split_places
from ...utils.parsing.form_schema import Form, read_form, with_places
from ...utils.parsing.shapes import ShapeReader
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import GO_ON, STOP, seed_input
from ..shared.grounding import overlay, shown
from ..shared.reading_running import joined
from ..shared.running import answer_all, node_id_of, notes_of, report
from ..shared.text_saving import name_input, save_inputs, saved

# Stored in workflows: append only.
KEEP_NOTHING, KEEP_CSV, KEEP_JSONL, KEEP_BOTH = "nothing", "CSV", "JSONL", "CSV and JSONL"


class Qwen3VLExtract(io.ComfyNode):
    """Fills in a form from pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLExtract",
            display_name="Qwen3-VL Extract",
            category=sockets.CATEGORY,
            description="Reads fields off every image of a batch as JSON that fits what you asked "
            "for; an answer that does not is asked for once more.",
            search_aliases=search_words("Qwen3VLExtract"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.String.Input(
                    "fields",
                    multiline=True,
                    default="company, date, total (number)",
                    tooltip="Names with commas, an example in JSON, or a JSON Schema.",
                ),
                io.Boolean.Input(
                    "with_boxes",
                    default=False,
                    tooltip="Asks for the place of each value too.",
                ),
                io.Combo.Input(
                    "invalid",
                    options=[STOP, GO_ON],
                    default=STOP,
                    tooltip="For an answer that does not fit even when asked for again.",
                ),
                seed_input(),
                *save_inputs([KEEP_NOTHING, KEEP_CSV, KEEP_JSONL, KEEP_BOTH], "extracted"),
                sockets.Options.Input("options", optional=True),
                name_input(),
            ],
            outputs=[
                io.String.Output("json", display_name="json", is_output_list=True),
                io.Boolean.Output("valid", display_name="valid", is_output_list=True),
                sockets.Box.Output("boxes", display_name="boxes"),
                io.Image.Output("overlay", display_name="overlay"),
                io.String.Output("csv", display_name="csv"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        fields: str,
        with_boxes: bool,
        invalid: str,
        seed: int,
        save: str = KEEP_NOTHING,
        file_name: str = "extracted",
        options: GenerationOptions | None = None,
        names: str = "",
    ) -> io.NodeOutput:
        """One answer for each image; those that do not fit are asked for once more, together."""
        asked = read_form(fields)
        form = with_places(asked) if with_boxes else asked
        pictures = pictures_from_tensor(image)
        chosen, words = form_prompt(form)
        requests = [
            _held_to(request, form)
            for request in requests_for(pictures, words, options=options, task=chosen, seed=seed)
        ]
        replies = answer_all(model, requests, node_id_of(cls))
        filled = [_read(reply, form) for reply in replies]
        again = [number for number, one in enumerate(filled) if not one.valid]
        if again:
            more = [_again(requests[n], replies[n], filled[n]) for n in again]
            for n, reply in zip(again, answer_all(model, more, node_id_of(cls)), strict=True):
                if _is_better(second := _read(reply, form), filled[n]):
                    replies[n], filled[n] = reply, second
        if invalid == STOP:
            _refuse(filled)
        rows = [_Row.of(one, p, with_boxes) for one, p in zip(filled, pictures, strict=True)]
        drawn = overlay(pictures, [row.found for row in rows])
        table = to_csv([row.value for row in rows], names)
        lasting = [(row.valid, row.value) for row in rows]
        lines = saved(save, file_name, {KEEP_CSV: table, KEEP_JSONL: to_jsonl(lasting, names)})
        how = joined([*_lines(filled, again), *lines, report(replies)])
        texts = [json.dumps(row.value, ensure_ascii=False) for row in rows]
        return io.NodeOutput(
            texts,
            [one.valid for one in filled],
            [to_box_value(row.found) for row in rows],
            drawn,
            table,
            how,
            ui=shown(texts, how, drawn, cls) | {"valid": [one.valid for one in filled]},
        )


def _held_to(request: Request, form: Form) -> Request:
    """The request with its schema, for servers that can keep an answer to one.

    Set when the words are there: the task says in the official way what is wanted, and no
    sentence about the schema is to be added.
    """
    wanted = request.options.filled_from(GenerationOptions(json_schema=form.schema_text()))
    return replace(request, options=wanted)


def form_prompt(form: Form) -> tuple[Task, str]:
    """The task and the words that ask for a form."""
    if form.plain:
        chosen = task("read_fields")
        return chosen, chosen.fill(form=form.pattern())
    chosen = task("read_fields_by_schema")
    return chosen, chosen.fill(form=form.pattern(), schema=form.schema_text())


def _read(reply: Reply, form: Form) -> Filled:
    """The values of a reply; one that no reader can take is a value of nothing with its fault."""
    try:
        filled = read_answer(reply.text, form)
    except ParseError as error:
        return Filled(None, (error.problem,))
    if reply.truncated and filled.valid:
        return replace(filled, notes=(*filled.notes, "the reply was cut off behind the values"))
    return filled


def _again(request: Request, reply: Reply, filled: Filled) -> Request:
    """The request once more: the chat with the answer, and what is wrong with it."""
    faults = "\n".join(f"- {fault}" for fault in filled.faults)
    words = task("read_fields_again").fill(faults=faults)
    messages = (
        *request.messages,
        Message("assistant", (reply.text or "(nothing)",)),
        Message("user", (words,)),
    )
    return replace(request, messages=messages, seed=(request.seed + 1) & MAX_SEED)


def _is_better(second: Filled, first: Filled) -> bool:
    """Whether the second answer counts: not where it is further from what was asked for."""
    if second.valid or first.value is None:
        return True
    return second.value is not None and len(second.faults) <= len(first.faults)


def _refuse(filled: Sequence[Filled]) -> None:
    for number, one in enumerate(filled, 1):
        if not one.valid:
            raise ParseError(
                f"Image {number} of {len(filled)}: the answer does not fit what was asked for, "
                f"also when asked again: {'; '.join(one.faults)[:400]}",
                "Ask for fewer fields, loosen the schema, or let the node go on.",
            )


@dataclass(frozen=True, slots=True)
class _Row:
    """The values of one picture, with their places on it."""

    value: Any
    valid: bool
    found: Detections

    @classmethod
    def of(cls, filled: Filled, picture: Picture, placed: bool) -> _Row:
        value, places = split_places(filled.value) if placed else (filled.value, {})
        reader = ShapeReader(*picture.size_wh)
        items = []
        for path, numbers in places.items():
            for shape in reader.read("bbox_2d", numbers, path):
                if isinstance(shape, Box):
                    text = as_word(pick(value, path))
                    items.append(Detection(path, shape, {"text": text}))
        found = Detections(*picture.size_wh, tuple(items), notes=reader.all_notes())
        return cls(value, filled.valid, found)


def _lines(filled: Sequence[Filled], again: Sequence[int]) -> list[str]:
    lines = []
    for number, one in enumerate(filled):
        line = f"{number + 1}: {'valid' if one.valid else 'not valid'}"
        line += ", asked twice" if number in again else ""
        line += "; the answer was not valid JSON and was repaired" if one.repaired else ""
        lines += [line, *(f"   {fault}" for fault in one.faults), *notes_of(one.notes)]
    return lines
