"""Lists the files of a folder that are meant, in the order a person would sort them."""

from __future__ import annotations

import fnmatch
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..text.natural_sort import natural_key

PICTURE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".apng", ".avif", ".heic", ".heif", ".jfif", ".mpo"),
)
_REMEMBERED = 16
_orders: dict[Path, tuple[tuple[str, ...], tuple[str, ...]]] = {}
_lock = threading.Lock()
# Gets the name of a folder below the listed one ("" for itself) and why it has no files here.
OnUnlisted = Callable[[str, InputError], None]


@dataclass(frozen=True, slots=True)
class FileChoice:
    """Which files of a folder are meant: those with one of the `endings`, in small letters.

    Patterns such as `*.jpg` or `10_cat/*` are compared with the name and with the whole path
    below the folder, capitals or not. No `include` means all; `exclude` wins.
    """

    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    endings: tuple[str, ...] = PICTURE_ENDINGS

    def matcher(self) -> Callable[[str], bool]:
        """Tells whether the file of this name (path below the folder, with /) is meant."""
        include, exclude = _either(self.include), _either(self.exclude)

        def meant(name: str) -> bool:
            folded = _folded(name)
            ways = (folded, folded.rpartition("/")[2])
            if exclude and any(map(exclude, ways)):
                return False
            return include is None or any(map(include, ways))

        return meant


def patterns(text: str) -> tuple[str, ...]:
    """The patterns of a widget: one a line, or several with commas or semicolons between."""
    pieces = re.split(r"[\n,;]", text)
    return tuple(piece.strip().replace("\\", "/") for piece in pieces if piece.strip())


def _folded(text: str) -> str:
    """Without capitals, and with each accent coded as one would type it; macOS may split them."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def _either(texts: Iterable[str]) -> Callable[[str], object] | None:
    wanted = [f"(?:{fnmatch.translate(_folded(text))})" for text in texts]
    return re.compile("|".join(wanted)).match if wanted else None


def list_files(folder: Path, choice: FileChoice, on_unlisted: OnUnlisted) -> list[str]:
    """Names (paths below `folder`, with /) of every file that is meant.

    Hidden files and folders are left out, and a link to a folder is not followed: it is told
    to `on_unlisted`, as is a folder that cannot be listed.
    """
    meant, found, waiting = choice.matcher(), [], [""]
    while waiting:
        name = waiting.pop()
        if not name or name.endswith("/"):
            waiting += reversed(_inside(folder, name, choice, on_unlisted))
        elif meant(name):
            found.append(name)
    return found


def _inside(folder: Path, prefix: str, choice: FileChoice, on_unlisted: OnUnlisted) -> list[str]:
    """Files of one folder, and the folders in it with a / behind; by name."""
    names = []
    try:
        with os.scandir(Path(folder, prefix)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.name.lower().endswith(choice.endings) and not _is_folder(entry):
                    names.append(prefix + entry.name)
                elif choice.recursive and _is_folder(entry):
                    names += _folder_or_nothing(entry, prefix, on_unlisted)
    except OSError as error:
        problem = f"Its files cannot be listed ({error.strerror or error})."
        on_unlisted(prefix, InputError(problem, "Make it readable."))
    return _in_order(folder / prefix, tuple(names))


def _in_order(place: Path, names: tuple[str, ...]) -> list[str]:
    """The names as a person sorts them, which takes longer than to list them: remembered while
    they stay the same, for the few folders that were listed last.
    """
    with _lock:
        last = _orders.pop(place, None)
        if last is None or last[0] != names:
            order = sorted(names, key=lambda name: natural_key(name.rstrip("/").rpartition("/")[2]))
            last = (names, tuple(order))
        _orders[place] = last
        while len(_orders) > _REMEMBERED:
            del _orders[next(iter(_orders))]
    return list(last[1])


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _folder_or_nothing(entry: os.DirEntry, prefix: str, on_unlisted: OnUnlisted) -> list[str]:
    name = f"{prefix}{entry.name}/"
    if not entry.is_symlink():
        return [name]
    on_unlisted(
        name,
        InputError(
            "It is a link, and links to folders are not followed.",
            "Put the folder itself there, or caption the folder it leads to.",
        ),
    )
    return []
