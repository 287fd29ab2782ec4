"""What the nodes about folders share: the choice of a folder, of its pictures, of a place."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.captions.place import BESIDE, SHORT_NAMES, UNDER_OUTPUT, WHOLE_NAMES
from ...utils.captions.policy import MODES, SKIP
from ...utils.captions.sidecars import CAPTION_FORMATS, ENDINGS, store_maker
from ...utils.captions.view import CaptionView
from ...utils.errors import InputError
from ...utils.images.color import BACKGROUNDS
from ...utils.roots.allowed_folders import Folder
from ...utils.roots.listing import FileChoice, patterns

OUTPUT_SUBFOLDER = "captions"


def folder_input(
    tooltip: str = "ComfyUI's folders, and those that qwen3vl.toml lists.",
) -> io.Input:
    """The menu of allowed folders; ComfyUI's refresh renews it."""
    return io.Combo.Input("folder", options=host().allowed_folders().menu(), tooltip=tooltip)


def recursive_input() -> io.Input:
    """The switch for folders inside."""
    return io.Boolean.Input("recursive", default=False, tooltip="Also folders inside.")


def check_folder(folder: str | None) -> bool | str:
    """For `validate_inputs`: True, or what is wrong with the name of a folder.

    A folder made since the menu was filled is as good as one in it.
    """
    if folder is None:  # linked; `execute` will look
        return True
    try:
        host().allowed_folders().locate(folder)
    except InputError as error:
        return str(error)
    return True


def mode_input() -> io.Input:
    """The widget for captions that are there already."""
    return io.Combo.Input(
        "mode",
        options=list(MODES),
        default=SKIP,
        tooltip="What becomes of captions that are there. overwrite own: write again "
        "what this node wrote with other settings. Only append, prepend and overwrite "
        "all touch a caption that you wrote or edited.",
    )


def frame_inputs() -> list[io.Input]:
    """The widgets for what goes around every caption."""
    return [
        io.String.Input("prefix", default="", tooltip="Before every caption, as it is."),
        io.String.Input("suffix", default="", tooltip="After every caption, as it is."),
    ]


def wording_inputs() -> list[io.Input]:
    """The widgets that change the words of every caption."""
    return [
        io.String.Input(
            "trigger_word",
            default="",
            optional=True,
            advanced=True,
            tooltip="First in every caption that does not say it. The word class in braces is the "
            "picture's folder: sks dog of 10_sks dog.",
        ),
        io.String.Input(
            "replace",
            multiline=True,
            default="",
            optional=True,
            advanced=True,
            tooltip="find => replacement, a line each. Nothing after the arrow deletes.",
        ),
        io.Int.Input(
            "max_characters",
            default=0,
            min=0,
            max=100_000,
            optional=True,
            advanced=True,
            tooltip="The longest a caption may be, cut at a sentence, tag or word. 0: no limit.",
        ),
    ]


def dry_run_input() -> io.Input:
    """The switch that only says what would happen."""
    return io.Boolean.Input(
        "dry_run",
        default=False,
        optional=True,
        advanced=True,
        tooltip="Say what would happen; nothing is written, and no model is loaded.",
    )


def overwrite_all_input() -> io.Input:
    """The second switch of the one mode that replaces what people wrote."""
    return io.Boolean.Input(
        "allow_overwrite_all",
        default=False,
        optional=True,
        advanced=True,
        tooltip="The second switch of overwrite all, which also replaces captions that you wrote.",
    )


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
        options=list(CAPTION_FORMATS),
        default="txt",
        optional=True,
        advanced=True,
        tooltip="txt: the caption alone. json: with model, prompt, options, seed and time. "
        "jsonl: one file for the folder, a line a caption.",
    )


def naming_inputs() -> list[io.Input]:
    """The widgets that say how caption files are called."""
    return [
        io.Combo.Input(
            "extension",
            options=list(ENDINGS),
            default=ENDINGS[0],
            optional=True,
            advanced=True,
            tooltip="How files of text end. The formats json and jsonl have no choice.",
        ),
        io.Combo.Input(
            "naming",
            options=[SHORT_NAMES, WHOLE_NAMES],
            default=SHORT_NAMES,
            optional=True,
            advanced=True,
            tooltip="The caption of a.jpg. Trainers want a.txt; with a.jpg.txt a folder may also "
            "hold a.png.",
        ),
    ]


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
    source = host().allowed_folders().locate(folder)
    if not source.path.is_dir():
        raise InputError(
            f"There is no folder {source.name!r} ({source.path}).",
            "Make it and put the pictures there, or choose another one.",
        )
    return source


def caption_folder(source: Folder, place: str, write: bool = True) -> Folder:
    """The folder of the captions; it need not exist yet.

    Raises:
        InputError: it is to be written to, and may not be.
    """
    target = source
    if place == UNDER_OUTPUT:
        name = f"output/{OUTPUT_SUBFOLDER}/{source.name}"
        target = host().allowed_folders().locate(name)
    target.check(target.path, write)
    return target


def picture_choice(recursive: bool, include: str, exclude: str) -> FileChoice:
    """Which pictures the widgets mean."""
    return FileChoice(recursive, patterns(include), patterns(exclude))


def caption_view(
    folder: str,
    recursive: bool,
    place: str,
    include: str = "",
    exclude: str = "",
    format: str = "txt",  # noqa: A002 - the widget's name
    extension: str = ENDINGS[0],
    naming: str = SHORT_NAMES,
) -> CaptionView:
    """The pictures that the widgets mean, with the captions that they have.

    Raises:
        InputError: a folder that is not allowed or not there, or holds no picture.
    """
    source = source_folder(folder)
    target = caption_folder(source, place, write=False)
    choice = picture_choice(recursive, include, exclude)
    return CaptionView.of(source, target, choice, store_maker(format, extension, naming))
