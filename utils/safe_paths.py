"""The one check of a path that came from a workflow: it stays inside its root."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from .errors import InputError

_DRIVE = re.compile(r"^[A-Za-z]:")


def inside(root: Path, relative: str) -> Path:
    r"""The real path of `relative` below `root`; links are followed, then checked.

    Args:
        root: a folder the owner of the machine chose.
        relative: text from a workflow, with / or \ between names; empty means the root.

    Raises:
        InputError: an absolute path, a drive, a `..`, a NUL, a link that leads out, or what no
            system takes for a name.
    """
    names = [name for name in re.split(r"[/\\]", relative.strip()) if name not in ("", ".")]
    starts_outside = relative.strip()[:1] in ("/", "\\", "~") or _DRIVE.match(relative.strip())
    if "\0" in relative or ".." in names or starts_outside:
        raise _outside(root, relative)
    real_root = os.path.realpath(root)
    try:
        real = os.path.realpath(Path(real_root, *names))
    except UnicodeEncodeError as error:
        raise _unnameable(relative, "it has half a character") from error
    try:
        leads_out = os.path.commonpath([real_root, real]) != real_root
    except ValueError:  # on Windows a junction or a device such as NUL leads to another drive
        leads_out = True
    if leads_out:
        raise _outside(root, relative)
    try:
        os.lstat(real)
    except OSError as error:  # what is merely not there is for the caller to say
        if error.errno == errno.ENAMETOOLONG:
            raise _unnameable(relative, "it is too long") from error
    return Path(real)


def _unnameable(relative: str, why: str) -> InputError:
    return InputError(
        f"{relative[:200]!r} cannot be the name of a file or folder: {why}.",
        "Give a path relative to the folder, as the system shows it.",
    )


def _outside(root: Path, relative: str) -> InputError:
    return InputError(
        f"{relative[:200]!r} is not inside {root}.",
        "Give a path relative to that folder, and put the files there.",
    )
