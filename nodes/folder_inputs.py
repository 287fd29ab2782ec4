"""What the nodes about folders share: the choice of a folder, of its pictures, of a place."""

from __future__ import annotations

from comfy_api.latest import io

from ..loaders import comfy_bridge
from ..utils.allowed_folders import Folder
from ..utils.caption_store_files import FORMATS
from ..utils.errors import InputError
from ..utils.picture_colours import BACKGROUNDS
from ..utils.picture_list_files import PictureChoice, patterns

# Stored in workflows: append only.
BESIDE, UNDER_OUTPUT = "beside the picture", "in the output folder"
OUTPUT_SUBFOLDER = "captions"


def folder_input(tooltip: str) -> io.Input:
    """The menu of allowed folders; ComfyUI's refresh renews it."""
    return io.Combo.Input("folder", options=comfy_bridge.allowed_folders().menu(), tooltip=tooltip)


def check_folder(folder: str | None) -> bool | str:
    """For `validate_inputs`: True, or what is wrong with the name of a folder.

    A folder made since the menu was filled is as good as one in it.
    """
    if folder is None:  # linked; `execute` will look
        return True
    try:
        comfy_bridge.allowed_folders().locate(folder)
    except InputError as error:
        return str(error)
    return True


def place_input() -> io.Input:
    """The widget that says where captions go."""
    return io.Combo.Input(
        "place",
        options=[BESIDE, UNDER_OUTPUT],
        default=BESIDE,
        tooltip=f"The output folder's place is output/{OUTPUT_SUBFOLDER}/<folder>.",
    )


def format_input() -> io.Input:
    """The widget that says what a caption file is."""
    return io.Combo.Input(
        "format",
        options=list(FORMATS),
        default="txt",
        optional=True,
        advanced=True,
        tooltip="txt: the caption alone. json: with model, prompt, options, seed and time. "
        "jsonl: one file for the folder, a line a caption.",
    )


def choice_inputs() -> list[io.Input]:
    """The widgets that leave pictures out."""
    return [
        io.String.Input(
            "include",
            default="",
            optional=True,
            advanced=True,
            tooltip="Only pictures whose name or path fits one of these patterns, with commas "
            "between: *.jpg, 10_cat/*. Empty: all.",
        ),
        io.String.Input(
            "exclude",
            default="",
            optional=True,
            advanced=True,
            tooltip="Not those that fit one of these patterns.",
        ),
    ]


def background_input() -> io.Input:
    """The widget for what transparency becomes."""
    return io.Combo.Input(
        "background",
        options=list(BACKGROUNDS),
        default="white",
        optional=True,
        advanced=True,
        tooltip="What transparent pictures are laid on.",
    )


def source_folder(folder: str) -> Folder:
    """The folder of the pictures.

    Raises:
        InputError: outside the allowed folders, or not there.
    """
    source = comfy_bridge.allowed_folders().locate(folder)
    if not source.path.is_dir():
        raise InputError(
            f"There is no folder {source.name!r} ({source.path}).",
            "Make it and put the pictures there, or choose another one.",
        )
    return source


def caption_folder(source: Folder, place: str) -> Folder:
    """The folder of the captions; it need not exist yet.

    Raises:
        InputError: it may not be written to.
    """
    target = source
    if place == UNDER_OUTPUT:
        name = f"output/{OUTPUT_SUBFOLDER}/{source.name}"
        target = comfy_bridge.allowed_folders().locate(name)
    target.check(target.path, write=True)
    return target


def picture_choice(recursive: bool, include: str, exclude: str) -> PictureChoice:
    """Which pictures the widgets mean."""
    return PictureChoice(recursive, patterns(include), patterns(exclude))
