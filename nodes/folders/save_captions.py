"""Save Captions: texts from any node become caption files, as careful as Caption Folder's."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.captions.place import SHORT_NAMES
from ...utils.captions.sidecars import ENDINGS, store_maker
from ...utils.captions.wording import Wording, parse_replacements
from ...utils.dataset.saving import Saving
from ...utils.dataset.scope import Scope, check_mode
from ...utils.errors import InputError
from ...utils.files.atomic_write import check_space
from ...utils.roots.listing import FileChoice
from ..forms import sockets
from ..forms.folder_widgets import (
    caption_folder,
    check_folder,
    dry_run_input,
    folder_input,
    format_input,
    frame_inputs,
    mode_input,
    naming_inputs,
    overwrite_all_input,
    place_input,
    source_folder,
    wording_inputs,
)
from ..forms.search_words import search_words


class Qwen3VLSaveCaptions(io.ComfyNode):
    """Writes captions that a workflow made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLSaveCaptions",
            display_name="Qwen3-VL Save Captions",
            category=sockets.CATEGORY,
            description="Writes texts from any node as caption files of a folder's pictures. "
            "Takes the names from Qwen3-VL Folder Images.",
            search_aliases=search_words("Qwen3VLSaveCaptions"),
            inputs=[
                folder_input("The folder of the pictures, the same as in Folder Images."),
                io.String.Input(
                    "names",
                    force_input=True,
                    tooltip="Pictures as paths below the folder, from Folder Images.",
                ),
                io.String.Input(
                    "captions", force_input=True, tooltip="One text for each name, in its order."
                ),
                mode_input(),
                place_input(),
                *frame_inputs(),
                format_input(),
                *wording_inputs(),
                overwrite_all_input(),
                dry_run_input(),
                *naming_inputs(),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: list[str] | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder[0] if folder else None)

    @classmethod
    def execute(
        cls,
        folder: Sequence[str],
        names: Sequence[str],
        captions: Sequence[str],
        mode: Sequence[str],
        place: Sequence[str],
        prefix: Sequence[str],
        suffix: Sequence[str],
        format: Sequence[str] = ("txt",),  # noqa: A002 - the widget's name
        trigger_word: Sequence[str] = ("",),
        replace: Sequence[str] = ("",),
        max_characters: Sequence[int] = (0,),
        allow_overwrite_all: Sequence[bool] = (False,),
        dry_run: Sequence[bool] = (False,),
        extension: Sequence[str] = (ENDINGS[0],),
        naming: Sequence[str] = (SHORT_NAMES,),
    ) -> io.NodeOutput:
        """Every input comes as a list; those of the widgets have one value."""
        if len(names) != len(captions):
            raise InputError(
                f"There are {len(names)} names for {len(captions)} captions.",
                "Connect one caption for each name, in the same order.",
            )
        check_mode(mode[0], format[0], allow_overwrite_all[0])
        replacements = parse_replacements(replace[0])
        wording = Wording(replacements, max_characters[0], trigger_word[0], prefix[0], suffix[0])
        source = source_folder(folder[0])
        target = caption_folder(source, place[0])
        # Only as deep as the names go: the folder may have large ones inside.
        choice = FileChoice(recursive=any("/" in str(name) for name in names))
        store = store_maker(format[0], extension[0], naming[0])
        scope = Scope(source, target, choice, store, mode[0])
        with scope.open_run(dry_run[0]) as files:
            if not dry_run[0]:
                check_space(target.path)
            Saving(files, wording, host().check_interrupt).save(names, captions, choice)
        ledger = files.ledger
        ui = {"text": [str(ledger)], "report": [ledger.summary]}
        return io.NodeOutput(str(ledger), ui=ui)
