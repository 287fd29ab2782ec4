"""The pictures of a folder here, the captions they want, and how they travel to the server."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import platform
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .jobs import Job
from .ledger import PICTURE_ENDINGS

UPLOADS = "caption_folder_client"


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one caption: the picture's path below its folder, and the further preset."""

    picture: str
    variant: str = ""

    @property
    def label(self) -> str:
        """What ledgers call it."""
        return f"{self.picture} [{self.variant}]" if self.variant else self.picture

    def file(self, ending: str) -> str:
        """The caption's path below the folder."""
        stem = self.picture.rpartition(".")[0]
        return f"{stem}.{self.variant}.{ending}" if self.variant else f"{stem}.{ending}"


def list_pictures(job: Job, folder: Path, on_unlisted: Callable[[str, str], None]) -> list[str]:
    """Paths below the folder, with /, of the pictures that are meant; hidden ones left out.

    `on_unlisted` gets the name of each folder whose pictures cannot be listed, and why.
    """

    def fail(error: OSError) -> None:
        place = Path(error.filename or folder).relative_to(folder).as_posix()
        on_unlisted(f"{place}/", f"its pictures cannot be listed ({error.strerror})")

    meant, found = _matcher(job), []
    for current, folders, names in os.walk(folder, onerror=fail):
        below = Path(current).relative_to(folder)
        inside = sorted(name for name in folders if job.recursive and not name.startswith("."))
        for name in inside:
            if Path(current, name).is_symlink():
                on_unlisted(f"{(below / name).as_posix()}/", "it is a link, which is not followed")
        folders[:] = inside
        found += [
            place
            for name in sorted(names)
            if name.lower().endswith(PICTURE_ENDINGS)
            and not name.startswith(".")
            and meant(place := (below / name).as_posix())
        ]
    return found


def _matcher(job: Job) -> Callable[[str], bool]:
    """Tells whether a picture is meant, by the node's rules for include and exclude."""
    include, exclude = _either(job.include), _either(job.exclude)

    def meant(place: str) -> bool:
        folded = place.casefold()
        ways = (folded, folded.rpartition("/")[2])
        if exclude is not None and any(map(exclude.match, ways)):
            return False
        return include is None or any(map(include.match, ways))

    return meant


def _either(lines: tuple[str, ...]) -> re.Pattern[str] | None:
    pieces = [p.strip().replace("\\", "/") for line in lines for p in re.split("[,;]", line)]
    wanted = [f"(?:{fnmatch.translate(piece.casefold())})" for piece in pieces if piece]
    return re.compile("|".join(wanted)) if wanted else None


def unfit_name(place: str) -> str:
    """Why ComfyUI could not store a picture or hand out its caption; "" if it can."""
    name = place.rpartition("/")[2]
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in place):
        return "its name holds bytes that are no text; rename it"
    if "\\" in place or ".." in name or name.startswith("blake3:"):
        return "ComfyUI hands out no file of this name; rename it without '\\', '..' or 'blake3:'"
    return ""


def server_folder(job: Job, folder: Path, pictures: list[str]) -> str:
    """The name of a folder below the server's input for these settings and pictures.

    The same run again finds its own captions there, and no other run's pictures. Pictures count
    by name, size and time, so none is read for it; the node itself knows them by content.
    """
    digest = hashlib.sha256(json.dumps(job.prompt("")[0], sort_keys=True).encode())
    digest.update(f"{platform.node()}\0{folder.resolve()}".encode("utf-8", "surrogatepass"))
    for place in pictures:
        digest.update(f"\0{place}".encode("utf-8", "surrogatepass"))
        try:
            status = (folder / place).stat()
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
        except OSError:  # it will be a line of its own when it is sent
            digest.update(b"\0?")
    name = f"{UPLOADS}/{digest.hexdigest()[:16]}"
    # {class} stands for the name of the folder, as in 10_sks dog, which thus has to be kept.
    return f"{name}/{folder.resolve().name}" if "{class}" in job.trigger_word else name
