"""Reads qwen3vl.toml, in which the owner of the machine lists folders and servers."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.errors import InputError
from ...utils.files.fingerprint import stamp
from ...utils.roots.allowed_folders import Root
from ...utils.roots.safe_paths import OWNER_FILE
from .owner_folders import OWNER_PATH, check_root_names, root_of

# The pack's own material, for its templates: after the owner's folders, which come first by name.
EXAMPLE_ROOTS = tuple(
    Root(f"example {kind}", OWNER_PATH.parent / "examples" / kind, writable=False)
    for kind in ("images", "videos", "documents")
)
EXAMPLE = f"{OWNER_FILE}.example shows how to write it."
# Each table with the keys of its entries; a new table is a line here and one in `_read`.
TABLES = {
    "folders": ("path", "access"),
    "servers": (
        *("origin", "origins", "model", "key_variable", "dialect", "timeout_s", "in_flight"),
        *("pictures", "edition", "context", "min_pixels", "max_pixels"),
    ),
}
# No list of folders is longer; the file is read while ComfyUI builds its menu.
MAX_BYTES = 1024 * 1024
MAX_SERVER_NAME = 60

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """What the owner's file says; `problem` is why it says nothing.

    `servers` are entries by name, whose values are checked where they are used.
    """

    folders: tuple[Root, ...] = ()
    servers: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    problem: InputError | None = None


# The file's stamp when it was last read without a problem, and what it said.
_last: tuple[str, OwnerSettings] = ("", OwnerSettings())
_logged: set[str] = set()


def owner_settings(path: Path = OWNER_PATH) -> OwnerSettings:
    """What the file says now; it is read again when it has changed. No file says nothing.

    Never raises: a menu needs an answer. What is wrong is in `problem` and, once, in the log.
    """
    global _last  # noqa: PLW0603 - the memory of one small file
    now = stamp(path)
    if not now:
        return OwnerSettings()
    now = f"{path} {now}"
    if _last[0] == now:
        return _last[1]
    try:
        settings = read_settings(path)
    except InputError as error:  # read again the next time: the mend may be in its permissions
        _log_once(str(error))
        return OwnerSettings(problem=error)
    for root in settings.folders:
        if not os.path.isdir(root.path):  # noqa: PTH112 - raises nothing
            _log_once(f"{path}: the folder {root.name!r} is not there: {root.path}")
    _last = (now, settings)
    return settings


def _log_once(text: str) -> None:
    if text not in _logged:
        _logged.add(text)
        log.warning(text)


def read_settings(path: Path) -> OwnerSettings:
    """The file's content, checked.

    Raises:
        InputError: it cannot be read, or says something that has no meaning here.
    """
    tables = _parse(path)
    _check_keys(tables, TABLES, str(path))
    folders = _entries(tables, "folders", path)
    check_root_names(folders, path)
    servers = _entries(tables, "servers", path)
    for name in servers:
        _check_server_name(name, path)
    roots = tuple(root_of(name, entry, path) for name, entry in folders.items())
    return OwnerSettings(roots, tuple(servers.items()))


def _parse(path: Path) -> dict[str, Any]:
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError as error:
        raise InputError(
            f"{path} cannot be read: Python before 3.11 needs the package tomli for it.",
            "Run `pip install tomli` in ComfyUI's Python.",
        ) from error
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES:,} bytes.", EXAMPLE)
        return tomllib.loads(data.decode("utf-8-sig"))  # Windows' editors write a mark in front
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", "Make it a file that ComfyUI may read."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not readable TOML ({error}).",
            r"Put paths and odd names between single quotes, such as 'D:\photos' and "
            "[folders.'my set'], and save it as UTF-8.",
        ) from error


def _entries(tables: Mapping[str, Any], table: str, path: Path) -> dict[str, dict[str, Any]]:
    """The entries of one table by name, each with known keys only."""
    entries = tables.get(table, {})
    for where, value in ((table, entries), *_named(table, entries)):
        if not isinstance(value, dict):
            raise InputError(
                f"{path}: {where!r} is {value!r:.80}, but must be a table.",
                f"Begin each entry with its own line [{table}.name]. {EXAMPLE}",
            )
    for where, entry in _named(table, entries):
        _check_keys(entry, TABLES[table], f"{path}: [{where}]")
    return entries


def _named(table: str, entries: Any) -> list[tuple[str, Any]]:
    return [(f"{table}.{k}", v) for k, v in entries.items()] if isinstance(entries, dict) else []


def _check_keys(found: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in found:
        if key not in known:
            raise InputError(
                f"{where} has {key!r}, which is unknown here.",
                f"Remove it; {', '.join(known)} can be there. {EXAMPLE}",
            )


def _check_server_name(name: str, path: Path) -> None:
    """Refuse a name that would look odd, or like another one, in a menu."""
    if not 0 < len(name) <= MAX_SERVER_NAME or not name.isprintable() or name != name.strip():
        raise InputError(
            f"{path}: the name in [servers.{name!r:.80}] cannot be used.",
            f"Use at most {MAX_SERVER_NAME} letters, digits, spaces, - and _.",
        )
