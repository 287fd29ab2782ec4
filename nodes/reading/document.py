"""Document: pages as Markdown or HTML, with their layout, tables and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.host.port import host
from ...utils.chat.composition import requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Reply, Request
from ...utils.chat.tasks import task
from ...utils.detection.crops import crop_region
from ...utils.detection.socket_values import to_box_value
from ...utils.documents.layout import Layout
from ...utils.errors import GenerationError, InputError, ParseError, Qwen3VLError
from ...utils.files.pdf_pages import PdfPages
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures, pictures_from_tensor
from ...utils.parsing.document_answer import AnswerForm, parse_document, parse_pages
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.grounding import LEAVE_EMPTY, unreadable_input
from ..shared.reading_running import WRITE, joined, write_input
from ..shared.running import node_id_of, notes_of, report, run

# Stored in workflows: append only.
EACH_PAGE, ALL_PAGES = "page by page", "all pages in one answer"


class Qwen3VLDocument(io.ComfyNode):
    """Turns pages into text with structure."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLDocument",
            display_name="Qwen3-VL Document",
            category=sockets.CATEGORY,
            description="Turns pages into Markdown or HTML, with the place of every block, the "
            "tables as CSV and JSON, and the pictures cut out.",
            search_aliases=search_words("Qwen3VLDocument"),
            inputs=[
                sockets.Model.Input("model"),
                write_input(),
                io.Combo.Input(
                    "pages_as",
                    options=[EACH_PAGE, ALL_PAGES],
                    default=EACH_PAGE,
                    tooltip="One answer for each page, or one about all of them together, for text "
                    "that runs on over pages. Nothing is left out: what does not fit the "
                    "model's context is an error.",
                ),
                seed_input(),
                unreadable_input(),
                io.Image.Input("image", optional=True, tooltip="Pages as a batch or a list."),
                sockets.Pages.Input(
                    "pages", optional=True, tooltip="Pages of Load PDF, drawn one at a time."
                ),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("text", display_name="text", is_output_list=True),
                sockets.Box.Output("layout", display_name="layout"),
                io.String.Output("tables_csv", display_name="tables_csv", is_output_list=True),
                io.String.Output("tables_json", display_name="tables_json", is_output_list=True),
                io.Image.Output("pictures", display_name="pictures", is_output_list=True),
                io.String.Output("captions", display_name="captions", is_output_list=True),
                io.String.Output("answer", display_name="answer", is_output_list=True),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_input_list=True,
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Sequence[Model],
        write: Sequence[str],
        pages_as: Sequence[str],
        seed: Sequence[int],
        unreadable: Sequence[str],
        image: Sequence[torch.Tensor] = (),
        pages: Sequence[PdfPages] = (),
        options: Sequence[GenerationOptions | None] = (None,),
    ) -> io.NodeOutput:
        """Every input comes as a list; those of the widgets have one value."""
        task_id, form, written_as = WRITE[write[0]]
        source = _Source(image, pages)
        together = pages_as[0] == ALL_PAGES
        requests = _requests(source, task_id, together, seed[0], options[0])
        total = 1 if together else source.count
        answered = _answers(model[0], requests, total, node_id_of(cls))
        replies = [answered[number] for number in sorted(answered)]
        lenient = unreadable[0] == LEAVE_EMPTY
        layouts = _layouts(replies, source.sizes_wh, form, together, lenient)
        texts = [_written(layout, written_as) for layout in layouts]
        if together:
            texts = ["\n\n".join(text for text in texts if text)]
        found = _Found.of(layouts, source)
        how = joined([*_lines(layouts), report(replies)])
        boxes = [to_box_value(layout.to_detections()) for layout in layouts]
        return io.NodeOutput(
            texts,
            boxes,
            [table.to_csv() for layout in layouts for table in layout.tables],
            [table.to_json() for layout in layouts for table in layout.tables],
            found.images or [host().nothing()],
            found.captions or [host().nothing()],
            [reply.text for reply in replies],
            how,
            ui={"text": texts, "report": [how], "layout": boxes},
        )


class _Source:
    """The pages: images in memory, then those of PDFs, drawn when they are asked for."""

    def __init__(self, images: Sequence[torch.Tensor], pages: Sequence[PdfPages]):
        self._images = [p for batch in images for p in pictures_from_tensor(batch)]
        self._pages = [one for one in pages if one is not None]
        self.count = len(self._images) + sum(len(one) for one in self._pages)
        # Filled as the pages are read.
        self.sizes_wh: list[tuple[int, int]] = []
        if not self.count:
            raise InputError("There is no page.", "Connect an image, or the pages of Load PDF.")

    def pictures(self) -> Iterator[Picture]:
        """Every page in order."""
        yield from self._images
        for one in self._pages:
            yield from one.pictures()

    def read(self) -> Iterator[Picture]:
        """Every page in order, its size kept."""
        self.sizes_wh = []
        for picture in self.pictures():
            self.sizes_wh.append(picture.size_wh)
            yield picture


def _requests(
    source: _Source,
    task_id: str,
    together: bool,
    seed: int,
    options: GenerationOptions | None,
) -> Iterable[Request]:
    """Requests as the engine asks for them, so that it holds a few pages only."""
    chosen = task(task_id)
    if together:
        words = chosen.fill()
        pictures = list(source.read())
        if len(pictures) > 1:
            words = f"{words}\n{task('document_pages').fill()}"
        return requests_for(pictures, words, together=True, options=options, task=chosen, seed=seed)
    return (
        request
        for number, picture in enumerate(source.read())
        for request in requests_for(
            [picture], chosen.fill(), options=options, task=chosen, seed=seed + number
        )
    )


def _answers(
    model: Model, requests: Iterable[Request], total: int, node_id: str | None
) -> dict[int, Reply]:
    """Every reply by its number.

    Raises:
        GenerationError: the first page that could not be answered, by its number.
    """
    replies: dict[int, Reply] = {}
    with closing(run(model, requests, total, node_id)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, Qwen3VLError):
                problem = f"Page {index + 1} of {total}: {outcome.problem}"
                raise GenerationError(problem, outcome.remedy) from outcome
            replies[index] = outcome
    return replies


def _layouts(
    replies: Sequence[Reply],
    sizes_wh: Sequence[tuple[int, int]],
    form: AnswerForm,
    together: bool,
    lenient: bool,
) -> list[Layout]:
    """One layout for each page; what cannot be read stops the run, or is an empty one with a note.

    Raises:
        ParseError: a page's answer that is no page, by its number.
    """
    layouts: list[Layout] = []
    groups = [list(sizes_wh)] if together else [[size] for size in sizes_wh]
    for number, (reply, group) in enumerate(zip(replies, groups, strict=True), 1):
        try:
            if together:
                read = parse_pages(reply.text, group, form)
            else:
                read = [parse_document(reply.text, *group[0], form)]
        except ParseError as error:
            if not lenient:
                problem = f"Answer {number} of {len(replies)}: {error.problem}"
                raise ParseError(problem, error.remedy) from error
            note = f"unreadable. {error.problem}"
            read = [Layout(width, height, notes=(note,)) for width, height in group]
        cut = reply.truncated
        layouts += [replace(one, truncated=one.truncated or cut) for one in read]
    return layouts


def _written(layout: Layout, form: AnswerForm) -> str:
    # An answer in Markdown to a request for HTML has no HTML: its Markdown is all there is.
    return layout.html if form == "html" and layout.html else layout.to_markdown()


class _Found:
    """The pictures on the pages, cut out, and their captions."""

    def __init__(self) -> None:
        self.images: list[Any] = []
        self.captions: list[Any] = []

    @classmethod
    def of(cls, layouts: Sequence[Layout], source: _Source) -> _Found:
        """Reads the pages once more, as far as there is a picture on one of them."""
        found = cls()
        last = max((n for n, one in enumerate(layouts) if one.pictures), default=-1)
        for layout, picture in zip(layouts[: last + 1], source.pictures(), strict=False):
            for block, box in layout.pictures:
                x1, y1, x2, y2 = crop_region(box, *picture.size_wh)
                found.images.append(
                    image_from_pictures([Picture(picture.pixels[y1:y2, x1:x2].copy())])
                )
                found.captions.append(block.caption)
        return found


def _lines(layouts: Sequence[Layout]) -> Iterator[str]:
    """A line for each page on what it holds, its notes below."""
    for number, layout in enumerate(layouts, 1):
        line = f"{number}: {len(layout.blocks)} blocks, {len(layout.tables)} tables"
        if layout.truncated:
            line += "; the answer was cut off, the rest of the page is missing"
        if layout.repaired:
            line += "; the answer had another form than was asked for"
        yield line
        yield from notes_of(layout.notes)
