"""Files that nodes write on request: new ones below the output folder, never over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.errors import InputError
from ...utils.files.atomic_write import check_space, naming, sync_folders, write_whole
from ...utils.roots.safe_paths import names_in

MAX_TRIES = 100_000


def save_inputs(kinds: Sequence[str], name: str) -> list[io.Input]:
    """The widgets that choose what is saved, and its name."""
    return [
        io.Combo.Input(
            "save",
            options=list(kinds),
            default=kinds[0],
            optional=True,
            tooltip="A new file for every run, below the output folder.",
        ),
        file_name_input(name, optional=True),
    ]


def file_name_input(name: str, optional: bool = False) -> io.Input:
    """The widget for the beginning of a file's name."""
    return io.String.Input(
        "file_name",
        default=name,
        optional=optional,
        tooltip="Begins the name; a number follows. May hold folders: reports/march.",
    )


def name_input() -> io.Input:
    """The socket for the names of the pictures, which become a column."""
    return io.String.Input(
        "names",
        default="",
        multiline=True,
        optional=True,
        advanced=True,
        tooltip="Names of the images, a line each: the first column of the table.",
    )


def saved(save: str, file_name: str, contents: Mapping[str, str]) -> list[str]:
    """Write the kinds of text that `save` names; a line of the report for each file."""
    lines = []
    for kind, content in contents.items():
        if kind in save.split(" and "):
            path = saved_file(content, file_name, f".{kind.lower()}", "extracted")
            lines.append(f"saved as {path}")
    return lines


def saved_file(content: str, file_name: str, suffix: str, folder: str) -> str:
    """Write a new file `output/<folder>/<file_name>_00001<suffix>`; its name below output.

    Raises:
        InputError: a name that leads elsewhere, or a disk that takes nothing.
    """
    words = "/".join(names_in(file_name.strip())) or folder
    target = host().allowed_folders().locate(f"output/{folder}/{words}")
    place = target.check(target.path.parent, write=True)
    data = content.encode("utf-8", "replace")
    with naming(place):
        place.mkdir(parents=True, exist_ok=True)
        check_space(place)
        for number in range(1, MAX_TRIES):
            path = target.check(place / f"{target.path.name}_{number:05d}{suffix}", write=True)
            try:
                write_whole(path, data, new=True)
            except FileExistsError:
                continue
            sync_folders([place])
            return f"{target.name.rpartition('/')[0]}/{path.name}"
    raise InputError(
        f"There are {MAX_TRIES} files named {words} already.", "Choose another file_name."
    )
