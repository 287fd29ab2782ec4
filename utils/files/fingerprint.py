"""What tells one picture, text, recipe or file from another: digests, and stamps of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DIGEST_BYTES = 16


def digest(data: bytes) -> bytes:
    """The first 16 bytes of a SHA-256; two different contents never share them by chance."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def digest_of(*values: str | bytes) -> bytes:
    """A digest over several values, in which no two lists of values look alike."""
    whole = hashlib.sha256()
    for value in values:
        # A name in another encoding than UTF-8, as old archives leave them, has lone surrogates.
        data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return whole.digest()[:DIGEST_BYTES]


def published(
    kind: str, first: Mapping[str, object], later: Mapping[str, tuple[object, object]] | None = None
) -> str:
    """Values in the form that identities are made of, which outlives the names in the code.

    Journals on users' disks hold digests of it, so `kind`, the names, their order and the form
    itself never change: another text would make every caption anew.

    Args:
        kind: what the values are of, by the name it was published under.
        first: the values of the first version, in its order; text, numbers and tuples of them,
            which are written as Python writes them.
        later: value and default of what further versions added, in their order. It is left
            out at its default, so that what an older version could say keeps its text.
    """
    added = {name: value for name, (value, default) in (later or {}).items() if value != default}
    said = ", ".join(f"{name}={value!r}" for name, value in {**first, **added}.items())
    return f"{kind}({said})"


def stamp(place: Path, endings: tuple[str, ...] = ("",)) -> str:
    """Names, sizes and times of a folder's files, or of a single one; "" where there is nothing.

    Two stamps of a place differ when a file was written in between. One `stat` a file, no
    hash: it is taken again for every run.

    Args:
        place: a file, or a folder, whose inner folders do not count.
        endings: of the names that count in a folder; all do by default.
    """
    try:
        if place.is_file():
            return repr([_facts(place.name, place.stat())])
        with os.scandir(place) as entries:
            files = [entry for entry in entries if entry.name.endswith(endings) and entry.is_file()]
        return repr(sorted(_facts(file.name, file.stat()) for file in files))
    except OSError:  # gone, or being replaced just now: not what was there before
        return ""


def _facts(name: str, facts: os.stat_result) -> tuple[str, int, int]:
    return name, facts.st_size, facts.st_mtime_ns


def file_stamp(facts: os.stat_result) -> str:
    """By which a file is known to be unchanged without reading it: size, time and inode.

    Pictures out of one archive may share size and time, and change their names among them.
    """
    return f"{facts.st_size:x}-{facts.st_mtime_ns:x}-{facts.st_ino:x}"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file held when it was read: the digest of its bytes, and its stamp."""

    digest: bytes
    stamp: str
