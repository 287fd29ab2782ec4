"""Caption Folder: a folder of pictures in, a caption file beside each, a ledger out."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.captions.place import SHORT_NAMES
from ...utils.captions.sidecars import ENDINGS, store_maker
from ...utils.captions.wording import Wording, parse_replacements
from ...utils.chat.generation_options import GenerationOptions
from ...utils.dataset.film_kinds import films as film_medium
from ...utils.dataset.medium import Media
from ...utils.dataset.picture_kinds import Asking, picture_kinds, pictures
from ...utils.dataset.scope import Scope, check_mode
from ..forms import sockets
from ..forms.folder_widgets import (
    background_input,
    caption_folder,
    check_folder,
    choice_inputs,
    dry_run_input,
    folder_input,
    format_input,
    frame_inputs,
    mode_input,
    naming_inputs,
    overwrite_all_input,
    picture_choice,
    place_input,
    recursive_input,
    source_folder,
    wording_inputs,
)
from ..forms.search_words import search_words
from ..forms.widgets import preset_inputs
from ..forms.widgets_asking import chosen_caption
from ..shared.folder_running import run_folder
from ..shared.running import node_id_of


class Qwen3VLCaptionFolder(io.ComfyNode):
    """Captions a folder; safe to stop and to run again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCaptionFolder",
            display_name="Qwen3-VL Caption Folder",
            category=sockets.CATEGORY,
            description="Writes a caption file for every picture of a folder. Interrupt it "
            "whenever you like: the next run goes on.",
            search_aliases=search_words("Qwen3VLCaptionFolder"),
            inputs=[
                sockets.Model.Input("model"),
                folder_input(),
                recursive_input(),
                *preset_inputs(seed_changes=False),  # a new seed is a new recipe
                mode_input(),
                place_input(),
                *frame_inputs(),
                sockets.Options.Input("options", optional=True),
                *later_inputs(),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder)

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> float:
        """Never equal to the last run: the folder may have changed."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        model: Model,
        folder: str,
        recursive: bool,
        preset: str,
        instructions: str,
        system_prompt: str,
        seed: int,
        mode: str,
        place: str,
        prefix: str,
        suffix: str,
        options: GenerationOptions | None = None,
        format: str = "txt",  # noqa: A002 - the widget's name
        more_presets: str = "",
        trigger_word: str = "",
        replace: str = "",
        max_characters: int = 0,
        include: str = "",
        exclude: str = "",
        background: str = "white",
        dry_run: bool = False,
        allow_overwrite_all: bool = False,
        extension: str = ENDINGS[0],
        naming: str = SHORT_NAMES,
        films: bool = False,
    ) -> io.NodeOutput:
        """Caption what needs it; the ledger is the output and the node's text."""
        check_mode(mode, format, allow_overwrite_all)
        wording = Wording(parse_replacements(replace), max_characters, trigger_word, prefix, suffix)
        asking = Asking(
            model.identity, instructions, system_prompt, seed, options, background, model.making
        )
        made = picture_kinds(preset, more_presets, wording, asking, chosen_caption)
        shown = pictures(made, background)
        media = Media((shown, film_medium(made)) if films else (shown,))
        source = source_folder(folder)
        target = caption_folder(source, place)
        choice = picture_choice(recursive, include, exclude)
        scope = Scope(source, target, choice, store_maker(format, extension, naming), mode)
        return run_folder(scope, media, model, options, dry_run, node_id_of(cls))


def later_inputs() -> list[io.Input]:
    """Widgets added after the first release; optional, so that older workflows still run."""
    return [
        format_input(),
        io.String.Input(
            "more_presets",
            multiline=True,
            default="",
            optional=True,
            advanced=True,
            tooltip="Titles of further presets, a line each. Each makes one caption more for "
            "every picture: a.tags.txt beside a.txt.",
        ),
        *wording_inputs(),
        *choice_inputs(),
        background_input(),
        dry_run_input(),
        overwrite_all_input(),
        *naming_inputs(),
        io.Boolean.Input(
            "films",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Also films: mp4, webm, mkv, mov and others, two frames a second. The presets "
            "ask about a video then.",
        ),
    ]
