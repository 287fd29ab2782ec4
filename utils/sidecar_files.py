"""Caption files beside pictures: written whole or not at all, and never over another's work."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import InputError

JOURNAL_NAME = ".qwen3vl.jsonl"
LOCK_NAME = ".qwen3vl.lock"
# Room for the captions of some thousand pictures; a disk with less is about to be full anyway.
MIN_FREE_BYTES = 10_000_000
# What an interrupted write leaves behind; nobody else names files so.
_TEMP_SUFFIX = ".qwen3vl-tmp"


def caption_path(picture: Path, source: Path, target: Path) -> Path:
    """Where the caption of a picture below `source` goes: the same place below `target`."""
    return (target / picture.relative_to(source)).with_suffix(".txt")


def clashing(pictures: Iterable[Path]) -> set[Path]:
    """Pictures that would share one caption file, such as a.jpg and a.png."""
    by_stem: dict[str, list[Path]] = {}
    for picture in pictures:
        by_stem.setdefault(str(picture.with_suffix("")).casefold(), []).append(picture)
    return {p for group in by_stem.values() if len(group) > 1 for p in group}


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part.

    Raises:
        OSError: nothing was changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + _TEMP_SUFFIX)
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows cannot open folders and needs no such call."""
    if os.name == "nt":
        return
    # Network and FUSE file systems may refuse; the caption is written all the same.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written below `folder`."""
    for leftover in folder.rglob(f"*.txt{_TEMP_SUFFIX}"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it is given back even when the process is killed.

    Raises:
        InputError: another run is captioning this folder, or it cannot be written into.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"Another run is captioning {folder}.", "Wait for it to end, or interrupt it."
        ) from None
    except OSError as error:
        raise InputError(
            f"Captions cannot be written into {folder} ({error.strerror or error}).",
            "Allow writing there, or choose another place for them.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def check_space(folder: Path) -> None:
    """Refuse a run that a nearly full disk would end soon, before the model is loaded for it.

    Raises:
        InputError: less than MIN_FREE_BYTES are free where the captions go.
    """
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise InputError(
            f"The disk of {folder} has {free / 1e6:.1f} MB left; captions and their journal "
            f"want {MIN_FREE_BYTES / 1e6:.0f} MB.",
            "Make room there, or choose another place for the captions.",
        )


def fingerprint(*values: str | bytes) -> str:
    """A SHA-256 over several values, in which no two lists of values look alike."""
    digest = hashlib.sha256()
    for value in values:
        data = value.encode() if isinstance(value, str) else value
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


class Journal:
    """Remembers which captions this pack wrote, one JSON line each, beside them."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._path = folder / JOURNAL_NAME
        # (caption, hash of its text) -> what it was made from
        self._marks: dict[tuple[str, str], str] = dict(self._read())

    def _read(self) -> Iterator[tuple[tuple[str, str], str]]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            # A killed run may leave its last line cut off: that caption counts as not ours.
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                yield (str(entry["caption"]), str(entry["text_sha"])), str(entry["made_from"])

    def made_from(self, caption: Path) -> str | None:
        """The fingerprint of the picture and settings a caption was made from.

        None when it is not just as this pack wrote it: edited by hand, it is the user's.
        """
        return self._marks.get((self._name(caption), _text_sha(caption.read_bytes())))

    def write(self, caption: Path, text: str, made_from: str) -> None:
        """Write a caption and remember it; the journal's line goes first.

        In this order a crash between the two leaves a line for a text that is nowhere, which
        harms nobody; the other way round it would leave a caption that nobody owns.
        """
        name, text_sha = self._name(caption), _text_sha(text.encode())
        entry = {"caption": name, "text_sha": text_sha, "made_from": made_from}
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            # In ASCII: a name in another encoding than UTF-8 cannot be written otherwise.
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        write_whole(caption, text)
        self._marks[name, text_sha] = made_from

    def _name(self, caption: Path) -> str:
        return caption.relative_to(self._folder).as_posix()


def _text_sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
