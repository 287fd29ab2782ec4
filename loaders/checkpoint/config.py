"""Reads a checkpoint's small JSON files, and says what a file really is when it is not one."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import IncompleteError, LoadError
from ...utils.files.fingerprint import stamp
from ...utils.files.ordinary import open_ordinary

# Each can make some version of transformers import code from the checkpoint or from a hub.
CODE_KEYS = ("auto_map", "_attn_implementation_internal", "trust_remote_code", "custom_pipelines")
# A value with a slash here names a repository whose kernels transformers would download and run.
ATTENTION_KEYS = ("_attn_implementation", "attn_implementation", "_experts_implementation")
# Official tokenizers have 11 MB; nothing else comes near.
MAX_JSON_BYTES = 64 * 1024 * 1024
# Official ones have 4 levels.
MAX_DEPTH = 64
# Too large to search for keys, and never read as a config.
VOCABULARIES = ("tokenizer.json", "vocab.json")
# Weights, configs and indexes, chat templates, merges.txt: whatever loading reads.
READ_ENDINGS = (".safetensors", ".json", ".jinja", ".txt")

_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")
_AGAIN = "Download the file again."


def files_version(place: Path) -> str:
    """Which version of a checkpoint or an adapter lies there: the stamp of what is read of it."""
    return stamp(place, READ_ENDINGS)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        LoadError: the file cannot be read, is something else, or is damaged.
    """
    try:
        with open_ordinary(path) as file:
            data = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise LoadError(f"{path} cannot be read ({error.strerror}).", "Check the file.") from None
    size = len(data)
    if size > MAX_JSON_BYTES:
        raise IncompleteError(f"{path} has more than {MAX_JSON_BYTES:,} bytes.", _AGAIN)
    refuse_impostor(path, data[:512], size)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IncompleteError(f"{path} is not readable JSON ({error}).", _AGAIN) from None
    if not isinstance(value, dict):
        raise IncompleteError(f"{path} is not a JSON object.", _AGAIN)
    if path.name not in VOCABULARIES:
        _refuse_deep(value, path)
    return value


def _refuse_deep(value: Any, path: Path) -> None:
    """What is nested further than any config would overflow whoever copies or prints it."""
    level, inside = 0, [value]
    while inside:
        level += 1
        if level > MAX_DEPTH:
            raise IncompleteError(f"{path} is nested more than {MAX_DEPTH} deep.", _AGAIN)
        nested = (v.values() if isinstance(v, dict) else v for v in inside)
        inside = [v for values in nested for v in values if isinstance(v, dict | list)]


def check_files(folder: Path) -> None:
    """Everything that transformers may read is an ordinary file of a bounded size.

    Raises:
        LoadError: naming a pipe, a device or a file that is too large for what it is.
    """
    for path in sorted(folder.iterdir()):
        if not path.name.endswith(READ_ENDINGS) or path.is_dir():
            continue
        try:
            facts = path.stat()
        except OSError:  # a link to nothing: `inspect` says so where the file is needed
            continue
        if not stat.S_ISREG(facts.st_mode):
            raise LoadError(f"{path} is no ordinary file.", "Remove it from the folder.")
        small = path.suffix in (".json", ".jinja") or path.name == "merges.txt"
        if small and facts.st_size > MAX_JSON_BYTES:
            raise IncompleteError(f"{path} has more than {MAX_JSON_BYTES:,} bytes.", _AGAIN)


def refuse_impostor(path: Path, start: bytes, size: int) -> None:
    """Name what a file is when its first bytes show that it is not the checkpoint's own.

    Args:
        path: the file.
        start: its first bytes, up to 512.
        size: all its bytes.

    Raises:
        LoadError: an empty file, a Git-LFS pointer, a web page, or nothing but zeros.
    """
    if not size:
        raise IncompleteError(f"{path} is empty.", _AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise IncompleteError(
            f"{path} is a Git-LFS pointer, not the file itself.",
            f"Run `git lfs pull` in {path.parent}, or download the file from its page.",
        )
    head = start.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith(_PAGES):
        raise IncompleteError(
            f"{path} is a web page, not the file itself.",
            "The download ended at a login or error page: open the link in a browser, then "
            "download the file again.",
        )
    if not start.strip(b"\0"):
        raise IncompleteError(
            f"{path} begins with zeros: its place was reserved, but its content never came.",
            "Let the download finish, or start it again.",
        )


def refuse_code(config: Any, path: Path) -> None:
    """Look for keys that run code at every depth.

    Raises:
        LoadError: naming the key.
    """
    for key, value in _entries(config):
        if key in CODE_KEYS:
            raise LoadError(
                f"{path} has the key {key!r}, which can run foreign code.",
                "Use the official checkpoint, or remove the key if you trust the source.",
            )
        if key in ATTENTION_KEYS and isinstance(value, str) and "/" in value:
            raise LoadError(
                f"{path} sets {key!r} to {value[:80]!r}, which downloads and runs code.",
                "Remove the key; the loader node chooses the attention.",
            )


def _entries(config: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value, without recursion: the file is hostile until it is checked."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from value.items()
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def read_configs(folder: Path) -> dict[str, dict[str, Any]]:
    """Every config of a folder by file name, none with a key that runs code.

    Raises:
        LoadError: naming the file.
    """
    configs = {}
    for path in sorted(folder.glob("*.json")):
        if path.name in VOCABULARIES or path.name.endswith(".index.json"):
            continue
        if path.name.startswith("._"):  # what macOS leaves on foreign disks
            continue
        configs[path.name] = read_json(path)
        refuse_code(configs[path.name], path)
    return configs


def positive(config: Mapping[str, Any], key: str, where: str, most: int = 1 << 24) -> int:
    """A whole number of a config, bounded: sizes are allocated from it.

    Raises:
        LoadError: missing, not a number, or out of range.
    """
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        found = "lacks it" if value is None else f"has {str(value)[:40]!r}"
        raise IncompleteError(f"{where} needs the number {key!r}, but {found}.", _AGAIN)
    return value
