"""The one check of a path: it stays inside a folder that the owner of the machine allows."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from pathlib import Path

from ..errors import InputError

OWNER_FILE = "qwen3vl.toml"
# As long as Linux allows a path to be.
MAX_LETTERS = 4096

_ON_WINDOWS = os.name == "nt"
# Windows opens these devices in every folder, whatever ending follows. Source:
# learn.microsoft.com/windows/win32/fileio/naming-a-file
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.I)
_SHOWN = 200


def real_inside(root: Path, path: Path) -> Path:
    """The real path of `path`, with links followed, if it lies in the real `root`.

    Every open, read and write is decided here. The names may come from the disk, so any name
    is allowed that can be one: what begins with ~ or holds a backslash is only a name.

    Raises:
        InputError: the path, or a link on the way to it, leads out; or no file has such a name.
    """
    real_root = os.path.realpath(root)
    try:
        real = os.path.realpath(path)
    except UnicodeEncodeError as error:
        raise _unnameable(str(path), "it has half a character") from error
    except ValueError as error:
        raise _unnameable(str(path), "it has a NUL") from error
    except OSError as error:  # a link whose end is kept secret, such as /proc/1/root
        raise outside(root, path) from error
    if not _lies_in(real_root, real):
        raise outside(root, path)
    for name in Path(real).relative_to(real_root).parts:
        why = _windows_trap(name)
        if why:
            raise _unnameable(name, why)
    try:
        os.lstat(real)
    except OSError as error:  # what is merely not there is for the caller to say
        if error.errno == errno.ENAMETOOLONG:
            raise _unnameable(str(path), "it is too long") from error
    return Path(real)


def names_in(text: str) -> list[str]:
    r"""The names of a path from a workflow, which has / or \ between them.

    Raises:
        InputError: it is absolute or too long, or has a name that `why_no_name` refuses.
    """
    if len(text) > MAX_LETTERS:  # following thousands of names would take minutes
        raise _not_relative(text, "it is too long")
    names = [name for name in re.split(r"[/\\]", text) if name not in ("", ".")]
    if text[:1] in ("/", "\\", "~"):
        raise _not_relative(text, "it starts at another place")
    for name in names:
        why = why_no_name(name)
        if why:
            raise _not_relative(text, why)
    return names


def why_no_name(name: str) -> str:
    """Why a workflow may not give `name` as one name of a path; "" when it may.

    No `..`, drive, NTFS stream, NUL, or device on Windows. The disk may hold some of these
    names; whoever has such a folder renames it or uses the one above.
    """
    if not name.strip(". "):  # .. above all; Windows takes ".. " for it
        return "it has a name of nothing but dots and spaces"
    if ":" in name:  # a drive, or a hidden stream of a file on NTFS
        return "it has a colon"
    if "/" in name or "\\" in name:  # on Linux a backslash can be part of a name
        return "it has a slash in a name"
    kinds = {unicodedata.category(letter) for letter in name}
    if "Cs" in kinds:
        return "it has half a character"
    if "Cc" in kinds:
        return "it has a control character"
    return _windows_trap(name)


def _lies_in(real_root: str, real: str) -> bool:
    try:
        return os.path.commonpath([real_root, real]) == real_root
    except ValueError:  # on Windows a junction or a device such as NUL leads to another drive
        return False


def _windows_trap(name: str) -> str:
    """Why Windows would open something else by this name; "" on other systems."""
    if not _ON_WINDOWS:
        return ""
    if ":" in name:
        return "it has a colon"
    if _DEVICE.match(name):
        return "it is the name of a device"
    return "it ends in a dot or a space" if name[-1:] in (".", " ") else ""


def _unnameable(name: str, why: str) -> InputError:
    return InputError(
        f"{name[:_SHOWN]!r} cannot be the name of a file or folder: {why}.",
        "Rename it, or choose another folder.",
    )


def _not_relative(text: str, why: str) -> InputError:
    return InputError(
        f"{text[:_SHOWN]!r} is not inside an allowed folder: {why}.",
        "Choose a folder from the menu, such as input/pictures.",
    )


def outside(root: Path, path: Path) -> InputError:
    """The error of a path that is not below a root once its links are followed."""
    return InputError(
        f"{str(path)[:_SHOWN]!r} is not inside {root}, or is reached by a link that leads out.",
        f"Put the files themselves there, or list the real folder in {OWNER_FILE}.",
    )
