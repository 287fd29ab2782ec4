"""Edit Caption: a person's own words in the place of one caption; Caption Review's box uses it."""

from __future__ import annotations

from comfy_api.latest import io

from ...utils.captions.place import SHORT_NAMES
from ...utils.captions.sidecars import ENDINGS, store_maker
from ...utils.dataset.editing import write_by_hand
from ..forms import sockets
from ..forms.folder_widgets import (
    caption_folder,
    check_folder,
    folder_input,
    format_input,
    naming_inputs,
    place_input,
    source_folder,
)
from ..forms.search_words import search_words

ANY = "any"
ONLY_IF_SEEN = "only if it is as seen"


class Qwen3VLEditCaption(io.ComfyNode):
    """Writes one caption as the user's own."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLEditCaption",
            display_name="Qwen3-VL Edit Caption",
            category=sockets.CATEGORY,
            description="Writes the caption of one picture by hand. It counts as yours: runs that "
            "skip, or overwrite their own, leave it alone.",
            search_aliases=search_words("Qwen3VLEditCaption"),
            inputs=[
                folder_input("The folder of the picture."),
                io.String.Input(
                    "picture", default="", tooltip="Its path below the folder, such as sub/a.png."
                ),
                io.String.Input("caption", multiline=True, default="", tooltip="The new caption."),
                place_input(),
                io.Combo.Input(
                    "replace",
                    options=[ANY, ONLY_IF_SEEN],
                    default=ANY,
                    optional=True,
                    advanced=True,
                    tooltip="Which caption may be replaced: any, or only the one in seen.",
                ),
                io.String.Input(
                    "seen",
                    multiline=True,
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="The caption as it was seen. Empty: there was none.",
                ),
                format_input(),
                *naming_inputs(),
            ],
            outputs=[io.String.Output("report", display_name="report")],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder)

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> float:
        """Never equal to the last run: the caption may have changed."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        folder: str,
        picture: str,
        caption: str,
        place: str,
        replace: str = ANY,
        seen: str = "",
        format: str = "txt",  # noqa: A002 - the widget's name
        extension: str = ENDINGS[0],
        naming: str = SHORT_NAMES,
    ) -> io.NodeOutput:
        """Write it, unless it is there already."""
        source = source_folder(folder)
        target = caption_folder(source, place)
        make = store_maker(format, extension, naming)
        known = seen if replace == ONLY_IF_SEEN else None
        wrote = write_by_hand(source, target, make, picture, caption, known)
        what = "the caption was written." if wrote else "the caption was there already."
        report = f"{picture}: {what}"
        return io.NodeOutput(report, ui={"text": [report]})
