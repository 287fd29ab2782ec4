"""The folders below the allowed roots, by name, for a menu that is asked for often."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text.natural_sort import natural_key
from .safe_paths import real_inside, why_no_name

MAX_NAMES = 2000
MAX_DEPTH = 6
# For each root: a lost network drive must not hold up the whole menu. What was seen is kept, so
# the next menu comes further.
MAX_SECONDS = 1.0
# A walk this slow is good for `REST` times as long; ComfyUI asks several times in a row.
SLOW_SECONDS = 0.2
REST = 10
# A folder changed so lately may change again without a new time: many disks count in steps.
UNSETTLED_NS = 2_000_000_000
_ON_WINDOWS = os.name == "nt"
# Windows' junction, which Python tells from a link before 3.12 only by this tag.
_MOUNT_POINT = 0xA0000003
_HIDDEN = 2  # stat.FILE_ATTRIBUTE_HIDDEN


@dataclass(frozen=True, slots=True)
class _Listing:
    """The folders in one folder, as they were when it had changed at `mtime_ns`."""

    mtime_ns: int
    folders: tuple[str, ...]
    links: frozenset[str]
    is_settled: bool


@dataclass(slots=True)
class _Walked:
    """What is remembered of one root."""

    listings: dict[str, _Listing] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    is_cut: bool = False
    good_until: float = float("-inf")


_memory: dict[Path, _Walked] = {}
_told: set[Path] = set()

log = logging.getLogger(__name__)


def folder_menu(roots: Sequence[tuple[str, Path]]) -> list[str]:
    """Every root by its name, each followed by the folders below it in natural order.

    Hidden folders, links that lead out, and names that a workflow may not give are left out.
    At most MAX_NAMES in all and MAX_DEPTH names below a root; where there are more folders, the
    roots share the places, the upper folders come before those in them, and the log says so.
    """
    found = [_walked(path) for _, path in roots]
    counts = _shares([len(walked.names) for walked in found], MAX_NAMES - len(roots))
    menu = []
    for (root, path), walked, count in zip(roots, found, counts, strict=True):
        menu.append(root)
        menu += [f"{root}/{name}" for name in sorted(walked.names[:count], key=_natural)]
        if (walked.is_cut or count < len(walked.names)) and path not in _told:
            _told.add(path)
            log.warning("The menu of folders shows only %d of those in %s", count, path)
    return menu


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


def _walked(root: Path) -> _Walked:
    """The folders below a root: none where it cannot be listed."""
    last = _memory.get(root, _Walked())
    started = time.monotonic()
    if started < last.good_until:
        return last
    walked = _walk(root, last.listings, started + MAX_SECONDS)
    took = time.monotonic() - started
    if took > SLOW_SECONDS:
        walked.good_until = started + took * (1 + REST)
    _memory[root] = walked  # with the folders of this walk alone: it does not grow
    return walked


def _walk(root: Path, known: Mapping[str, _Listing], deadline: float) -> _Walked:
    """Level by level through the folders below `root`; `known` are their last listings."""
    walked = _Walked()
    waiting = deque([("", 0)])
    while waiting and not walked.is_cut:
        name, depth = waiting.popleft()
        place = os.path.join(root, name)  # noqa: PTH118 - thousands of times, and a Path is slow
        listing = _listing(place, known.get(name))
        if listing is None:
            continue
        walked.listings[name] = listing
        for folder in listing.folders:
            below = f"{name}/{folder}" if name else folder
            is_link = folder in listing.links
            if not is_link or _stays(root, below):
                walked.names.append(below)
            if not is_link and depth + 1 < MAX_DEPTH:  # a link may lead to a folder above it
                waiting.append((below, depth + 1))
        walked.is_cut = len(walked.names) > MAX_NAMES or time.monotonic() > deadline
    return walked


def _stays(root: Path, name: str) -> bool:
    """Whether a link ends at a folder inside the root."""
    try:
        return real_inside(root, Path(root, name)).is_dir()
    except (InputError, OSError):
        return False


def _listing(place: str, known: _Listing | None) -> _Listing | None:
    """The folders in `place`: what is known if it did not change; None if it cannot be listed."""
    try:
        mtime_ns = os.stat(place).st_mtime_ns  # noqa: PTH116 - the cost of a warm menu
        if known is not None and known.is_settled and known.mtime_ns == mtime_ns:
            return known
        with os.scandir(place) as entries:
            found = {entry.name: _is_link(entry) for entry in entries if _is_offered(entry)}
    except OSError:  # no folder of ours, or gone
        return None
    folders = tuple(sorted(found, key=natural_key))
    links = frozenset(name for name, is_link in found.items() if is_link)
    return _Listing(mtime_ns, folders, links, time.time_ns() - mtime_ns > UNSETTLED_NS)


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
