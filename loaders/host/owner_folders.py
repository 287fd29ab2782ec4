"""Folders that the owner of the machine lists: what they may be called, and where they may lie."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import InputError
from ...utils.roots.allowed_folders import COMFYUI_ROOTS, Root
from ...utils.roots.safe_paths import OWNER_FILE, why_no_name

# What lies here is no picture, and some of it does something when it is opened.
SYSTEM_FOLDERS = tuple(map(Path, ("/proc", "/sys", "/dev", "/etc", "/boot")))
OWNER_PATH = Path(__file__).resolve().parents[2] / OWNER_FILE
# What `access` can say, and whether that allows writing.
ACCESS = {"read-only": False, "read-write": True}
# Folders are named `root/name`, and captions in the output folder lie in one named like the root.
NOT_IN_NAMES = '/\\.:~*?"<>|'


def check_root_names(names: Iterable[str], path: Path) -> None:
    """Refuse names that a menu, a workflow or another system could not tell apart or use."""
    taken = {name: f"is ComfyUI's own {name} folder" for name in COMFYUI_ROOTS}
    for name in names:
        why = _why_no_root(name) or taken.get(name.casefold())
        if why:
            raise InputError(
                f"{path}: the name in [folders.{name!r:.80}] cannot be used: it {why}.",
                "Use a short name of letters, digits, - and _, and each name once.",
            )
        taken[name.casefold()] = f"is the same as {name!r} but for capitals"


def _why_no_root(name: str) -> str:
    if not name or name != name.strip():
        return "is empty" if not name.strip() else "begins or ends with a space"
    for letter in name:
        if letter in NOT_IN_NAMES:
            return f"has a {letter!r}"
        if unicodedata.category(letter) in ("Cc", "Cf"):
            return f"has the invisible character {letter!r}"
    return why_no_name(name).replace("it ", "", 1)


def root_of(name: str, entry: Mapping[str, Any], path: Path) -> Root:
    """An entry as a root; whether it is there is not asked."""
    where = f"{path}: [folders.{name}]"
    access = entry.get("access", "read-only")
    if not isinstance(access, str) or access not in ACCESS:
        raise InputError(
            f"{where} has access = {access!r:.80}.", f"It can be {' or '.join(ACCESS)}."
        )
    text = entry.get("path")
    if not isinstance(text, str):
        raise InputError(
            f"{where} needs a path in quotes, but has {text!r:.80}.",
            r"Write path = '/srv/photos', or on Windows path = 'D:\photos'.",
        )
    return Root(name, _absolute(text, where), ACCESS[access])


def _absolute(text: str, where: str) -> Path:
    """A path of the owner's, with ~ for the home folder; whether it is there is not asked."""
    try:
        place = Path(text).expanduser()
    except RuntimeError:  # no such user, or one without a home: then ~ stays in it
        place = Path(text)
    if "\0" in text or not place.is_absolute():
        raise InputError(
            f"{where} has path = {text!r:.200}, which is not a whole path.",
            r"Write it from the start: '/srv/photos', '~/photos', or on Windows 'D:\photos'.",
        )
    if why := _why_too_wide(place):
        raise InputError(
            f"{where} has path = {text!r:.200}, which {why}.", "List the folder of pictures itself."
        )
    return place


def _why_too_wide(place: Path) -> str:
    """Why nobody means this folder to be read and written by workflows; "" where one may."""
    real = Path(os.path.realpath(place))
    if real == Path(real.anchor):
        return "is a whole disk"
    if any(real == system or system in real.parents for system in SYSTEM_FOLDERS):
        return "belongs to the system"
    pack = OWNER_PATH.parent
    if real == pack or real in pack.parents or pack in real.parents:
        return "holds this pack's own files"
    return ""
