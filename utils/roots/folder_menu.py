"""The folders below the allowed roots, by name, for a menu that is asked for often."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.natural_sort import natural_key
from .safe_paths import real_inside, why_no_name

MAX_NAMES = 2000
MAX_DEPTH = 6
# For each root: a lost network drive must not hold up the whole menu.
MAX_SECONDS = 1.0
# A menu that took this long is good for `REST` times as long; ComfyUI asks several times in a row.
SLOW_SECONDS = 0.05
REST = 10
_ON_WINDOWS = os.name == "nt"
# Windows' junction, which Python tells from a link before 3.12 only by this tag.
_MOUNT_POINT = 0xA0000003
_HIDDEN = 2  # stat.FILE_ATTRIBUTE_HIDDEN


# The last menu of these roots, and until when it is good.
_memory: dict[tuple[tuple[str, Path], ...], tuple[float, list[str]]] = {}
_told: set[Path] = set()

log = logging.getLogger(__name__)


def folder_menu(roots: Sequence[tuple[str, Path]]) -> list[str]:
    """Every root by its name, each followed by the folders below it in natural order.

    Hidden folders, links that lead out, and names that a workflow may not give are left out.
    At most MAX_NAMES in all and MAX_DEPTH names below a root; where there are more folders, the
    roots share the places, the upper folders come before those in them, and the log says so.
    """
    asked, started = tuple(roots), time.monotonic()
    good_until, menu = _memory.get(asked, (float("-inf"), []))
    if started < good_until:
        return list(menu)
    walked = [_walk(path, time.monotonic() + MAX_SECONDS) for _, path in roots]
    counts = _shares([len(names) for names, _ in walked], MAX_NAMES - len(roots))
    menu = []
    for (root, path), (names, is_cut), count in zip(roots, walked, counts, strict=True):
        menu.append(root)
        menu += [f"{root}/{name}" for name in sorted(names[:count], key=_natural)]
        if (is_cut or count < len(names)) and path not in _told:
            _told.add(path)
            log.warning("The menu of folders shows only %d of those in %s", count, path)
    ended = time.monotonic()
    _memory.clear()
    if ended - started > SLOW_SECONDS:
        _memory[asked] = (ended + REST * (ended - started), menu)
    return list(menu)


def _natural(name: str) -> list[list[tuple[int, int, str]]]:
    """By the names on the way, so that what is in a folder follows it."""
    return [natural_key(part) for part in name.split("/")]


def _shares(wanted: Sequence[int], places: int) -> list[int]:
    """How many of `places` each root gets: all that a small one wants, the rest in equal parts."""
    counts = [0] * len(wanted)
    for rank, index in enumerate(sorted(range(len(wanted)), key=lambda index: wanted[index])):
        counts[index] = min(wanted[index], max(0, places) // (len(wanted) - rank))
        places -= counts[index]
    return counts


def _walk(root: Path, deadline: float) -> tuple[list[str], bool]:
    """The folders below `root`, level by level, and whether it had to stop before the end."""
    names: list[str] = []
    waiting = deque([("", 0)])
    while waiting:
        if len(names) > MAX_NAMES or (names and time.monotonic() > deadline):
            return names, True
        above, depth = waiting.popleft()
        for folder, is_link in _inside(root / above):
            name = f"{above}/{folder}" if above else folder
            if not is_link or _stays(root, name):
                names.append(name)
            if not is_link and depth + 1 < MAX_DEPTH:  # a link may lead to a folder above it
                waiting.append((name, depth + 1))
    return names, False


def _stays(root: Path, name: str) -> bool:
    """Whether a link ends at a folder inside the root."""
    try:
        return real_inside(root, Path(root, name)).is_dir()
    except (InputError, OSError):
        return False


def _inside(place: Path) -> list[tuple[str, bool]]:
    """The folders in one, and whether they are links; none where it cannot be listed."""
    try:
        with os.scandir(place) as entries:
            found = [(entry.name, _is_link(entry)) for entry in entries if _is_offered(entry)]
    except OSError:
        return []
    return sorted(found, key=lambda one: natural_key(one[0]))


def _is_offered(entry: os.DirEntry[str]) -> bool:
    try:
        # Most entries are files, and the system tells that without another call.
        if not entry.is_dir() or entry.name.startswith(".") or why_no_name(entry.name):
            return False
        return not _ON_WINDOWS or not _windows_facts(entry).st_file_attributes & _HIDDEN
    except OSError:  # a link in a circle
        return False


def _is_link(entry: os.DirEntry[str]) -> bool:
    if not _ON_WINDOWS:
        return entry.is_symlink()
    return entry.is_symlink() or _windows_facts(entry).st_reparse_tag == _MOUNT_POINT


def _windows_facts(entry: os.DirEntry[str]) -> Any:  # other systems' stat_result has less
    return entry.stat(follow_symlinks=False)  # on Windows the listing has brought these along
