"""The one check of a path that came from a workflow: it stays inside its root."""

from __future__ import annotations

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
        InputError: an absolute path, a drive, a `..`, a NUL, or a link that leads out.
    """
    names = [name for name in re.split(r"[/\\]", relative.strip()) if name not in ("", ".")]
    starts_outside = relative.strip()[:1] in ("/", "\\", "~") or _DRIVE.match(relative.strip())
    if "\0" in relative or ".." in names or starts_outside:
        raise _outside(root, relative)
    real_root = os.path.realpath(root)
    real = os.path.realpath(Path(real_root, *names))
    try:
        leads_out = os.path.commonpath([real_root, real]) != real_root
    except ValueError:  # on Windows a junction or a device such as NUL leads to another drive
        leads_out = True
    if leads_out:
        raise _outside(root, relative)
    return Path(real)


def _outside(root: Path, relative: str) -> InputError:
    return InputError(
        f"{relative[:200]!r} is not inside {root}.",
        "Give a path relative to that folder, and put the files there.",
    )
