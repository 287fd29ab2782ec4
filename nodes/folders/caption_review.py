"""Caption Review: a look at pictures and their captions, before somebody trains on them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.captions.place import SHORT_NAMES
from ...utils.captions.sidecars import ENDINGS
from ...utils.captions.view import CaptionView
from ...utils.drawing.contact_sheet import Card, contact_sheet, tile
from ...utils.errors import InputError
from ...utils.files.picture_reader import read_picture
from ...utils.files.read_ahead import read_ahead
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures
from ..forms import sockets
from ..forms.folder_widgets import (
    caption_view,
    check_folder,
    choice_inputs,
    folder_input,
    format_input,
    naming_inputs,
    place_input,
    recursive_input,
)
from ..forms.search_words import search_words
from ..shared.grounding import shown

MAX_PICTURES = 1_000_000
MAX_COUNT = 100
MAX_ACROSS = 10


class Qwen3VLCaptionReview(io.ComfyNode):
    """A contact sheet of a folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCaptionReview",
            display_name="Qwen3-VL Caption Review",
            category=sockets.CATEGORY,
            description="Shows the pictures of a folder with their captions on one sheet.",
            search_aliases=search_words("Qwen3VLCaptionReview"),
            inputs=[
                folder_input(),
                recursive_input(),
                place_input(),
                io.Int.Input(
                    "first",
                    default=0,
                    min=0,
                    max=MAX_PICTURES,
                    tooltip="The first picture of the sheet, counted from 0.",
                ),
                io.Int.Input(
                    "count", default=24, min=1, max=MAX_COUNT, tooltip="How many pictures."
                ),
                io.Int.Input(
                    "columns",
                    default=4,
                    min=1,
                    max=MAX_ACROSS,
                    tooltip="Pictures beside each other; more where the sheet would get too long.",
                ),
                *choice_inputs(),
                format_input(),
                *naming_inputs(),
            ],
            outputs=[io.Image.Output("sheet", display_name="sheet")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder)

    @classmethod
    def fingerprint_inputs(
        cls, first: int = 0, count: int = 0, columns: int = 0, **widgets: Any
    ) -> str | float:
        """What is there now, so that changed captions are shown and unchanged ones cost nothing."""
        try:
            view = caption_view(**widgets)
        except (InputError, TypeError):  # execute will say what is wrong; a linked widget is absent
            return float("nan")
        return view.state(view.names[first : first + count])

    @classmethod
    def execute(
        cls,
        folder: str,
        recursive: bool,
        place: str,
        first: int,
        count: int,
        columns: int,
        include: str = "",
        exclude: str = "",
        format: str = "txt",  # noqa: A002 - the widget's name
        extension: str = ENDINGS[0],
        naming: str = SHORT_NAMES,
    ) -> io.NodeOutput:
        """One sheet, [1, H, W, 3]."""
        view = caption_view(folder, recursive, place, include, exclude, format, extension, naming)
        total = len(view.names)
        if first >= total:
            raise InputError(
                f"There is no picture {first}: {view.source.name} has {total} (0 to {total - 1}).",
                "Set first back to 0.",
            )
        cards = cards_of(view, first, count)
        sheet = image_from_pictures([contact_sheet(cards, columns)])
        ui = shown([report(cards, first, total)], view.source.name, sheet, cls)
        where = {
            "folder": folder, "place": place, "format": format, "extension": extension,
            "naming": naming,
        }  # fmt: skip
        # What the box needs to let somebody correct them, by Edit Caption.
        ui |= {"captions": editable(cards), "edit": [where]}
        return io.NodeOutput(sheet, ui=ui)


def editable(cards: list[Card]) -> list[dict[str, Any]]:
    """Captions that can be corrected: what stands there was read, or nothing does."""
    return [
        {"number": card.number, "name": card.name, "text": card.caption or ""}
        for card in cards
        if not card.problem
    ]


def cards_of(view: CaptionView, first: int, count: int) -> list[Card]:
    """A card for each picture from number `first` on, whatever is wrong with it."""

    def read(name: str) -> Picture:
        return tile(read_picture(view.file(name)))

    cards = []
    with closing(read_ahead(view.names[first : first + count], read)) as found:
        for number, (name, outcome) in enumerate(found, first):
            host().check_interrupt()
            broken = isinstance(outcome, InputError)
            problems = [str(outcome)] if broken else []
            try:
                caption = view.caption(name)
            except InputError as error:
                caption = None
                problems.append(str(error))
            picture = None if broken else outcome
            cards.append(Card(number, name, picture, caption, " ".join(problems)))
    return cards


def report(cards: list[Card], first: int, total: int) -> str:
    """Which pictures are shown, how many have no caption, and what is wrong."""
    bare = sum(not (card.caption or "").strip() for card in cards)
    head = f"pictures {first} to {first + len(cards) - 1} of {total}, {bare} without a caption"
    wrong = [f"{card.number}  {card.name}: {card.problem}" for card in cards if card.problem]
    return "\n".join([head, *wrong])
