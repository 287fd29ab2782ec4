"""Folder Images: a folder piece by piece, so that other nodes can stand before the captions."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.captions.place import SHORT_NAMES
from ...utils.captions.sidecars import ENDINGS
from ...utils.dataset.piece import Piece
from ...utils.errors import InputError
from ...utils.images.color import BACKGROUNDS
from ...utils.images.tensors import image_from_pictures
from ..forms import sockets
from ..forms.folder_widgets import (
    background_input,
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
from ..shared.running import node_id_of

MAX_PICTURES = 1_000_000


class Qwen3VLFolderImages(io.ComfyNode):
    """Gives the pictures of a folder to other nodes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLFolderImages",
            display_name="Qwen3-VL Folder Images",
            category=sockets.CATEGORY,
            description="Gives the pictures of a folder with their names and captions: all, a "
            "range, or one for every queued prompt.",
            search_aliases=search_words("Qwen3VLFolderImages"),
            inputs=[
                folder_input(),
                recursive_input(),
                io.Boolean.Input(
                    "only_without_caption",
                    default=False,
                    tooltip="Pass over pictures that have a caption, as place and format say.",
                ),
                place_input(),
                io.Int.Input(
                    "start",
                    default=0,
                    min=0,
                    max=MAX_PICTURES,
                    control_after_generate=io.ControlAfterGenerate.increment,
                    tooltip="The first picture, counted from 0. With count 1 and increment every "
                    "queued prompt takes the next one.",
                ),
                io.Int.Input(
                    "count",
                    default=1,
                    min=0,
                    max=MAX_PICTURES,
                    tooltip="How many pictures. 0: all that are left, as far as memory allows.",
                ),
                *choice_inputs(),
                format_input(),
                background_input(),
                *naming_inputs(),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", is_output_list=True),
                io.String.Output("names", display_name="names", is_output_list=True),
                io.String.Output("captions", display_name="captions", is_output_list=True),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder)

    @classmethod
    def fingerprint_inputs(cls, background: str = "white", **widgets: Any) -> str | float:
        """What is there now, so that a changed folder runs again and an unchanged one does not."""
        try:
            piece = piece_of(**widgets)
            pictures = piece.first()
        except (InputError, TypeError):  # execute will say what is wrong; a linked widget is absent
            return float("nan")
        return piece.view.state(pictures)

    @classmethod
    def execute(
        cls,
        folder: str,
        recursive: bool,
        only_without_caption: bool,
        place: str,
        start: int,
        count: int,
        include: str = "",
        exclude: str = "",
        format: str = "txt",  # noqa: A002 - the widget's name
        background: str = "white",
        extension: str = ENDINGS[0],
        naming: str = SHORT_NAMES,
    ) -> io.NodeOutput:
        """The piece as lists of equal length, and what was left out of it."""
        piece = piece_of(
            folder, recursive, only_without_caption, place, start, count, include, exclude, format,
            extension, naming,
        )  # fmt: skip
        bar = host().progress_bar(piece.most, node_id_of(cls))
        taken = piece.read(BACKGROUNDS[background], host().check_interrupt, bar.show)
        images = [image_from_pictures([picture]) for picture in taken.given()]
        report = taken.report()
        ui: dict[str, list[Any]] = {"text": [report]}
        if taken.finished:  # what comes after it does not run
            return io.NodeOutput(*[[host().nothing()]] * 3, report, ui=ui | {"done": [True]})
        return io.NodeOutput(images, taken.names, taken.captions, report, ui=ui)


def piece_of(
    folder: str,
    recursive: bool,
    only_without_caption: bool,
    place: str,
    start: int,
    count: int,
    include: str = "",
    exclude: str = "",
    format: str = "txt",  # noqa: A002 - the widget's name
    extension: str = ENDINGS[0],
    naming: str = SHORT_NAMES,
) -> Piece:
    """What the widgets mean.

    Raises:
        InputError: the folder cannot be used.
    """
    view = caption_view(folder, recursive, place, include, exclude, format, extension, naming)
    return Piece(view, start, count, only_without_caption)
