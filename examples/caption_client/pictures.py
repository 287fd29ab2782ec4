"""The pictures of a folder here, and how they travel to the server."""

from __future__ import annotations

import hashlib
import json
import platform
import unicodedata
from collections.abc import Callable
from pathlib import Path

from qwen3vl_utils.roots.listing import FileChoice, list_files, patterns

from .jobs import Job

UPLOADS = "caption_folder_client"


def list_pictures(job: Job, folder: Path, on_unlisted: Callable[[str, str], None]) -> list[str]:
    """Paths below the folder, with /, of the pictures that are meant, as the node lists them.

    `on_unlisted` gets the name of each folder whose pictures cannot be listed, and why.
    """
    include, exclude = (patterns("\n".join(lines)) for lines in (job.include, job.exclude))
    choice = FileChoice(job.recursive, include, exclude)
    return list_files(folder, choice, lambda name, why: on_unlisted(name or "./", str(why)))


def unfit_name(file: str) -> str:
    """Why ComfyUI could not store a picture or hand out its caption; "" if it can."""
    name = file.rpartition("/")[2]
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in file):
        return "its name holds bytes that are no text; rename it"
    if "\\" in file or ".." in name or name.startswith("blake3:"):
        return "ComfyUI hands out no file of this name; rename it without '\\', '..' or 'blake3:'"
    return ""


def server_folder(job: Job, folder: Path, pictures: list[str]) -> str:
    """The name of a folder below the server's input for these settings and pictures.

    The same run again finds its own captions there, and no other run's pictures. Pictures count
    by name, size and time, so none is read for it; the node itself knows them by content.
    """
    digest = hashlib.sha256(json.dumps(job.prompt("")[0], sort_keys=True).encode())
    digest.update(f"{platform.node()}\0{folder.resolve()}".encode("utf-8", "surrogatepass"))
    for file in pictures:
        digest.update(f"\0{file}".encode("utf-8", "surrogatepass"))
        try:
            status = (folder / file).stat()
            digest.update(f"\0{status.st_size} {status.st_mtime_ns}".encode())
        except OSError:  # it will be a line of its own when it is sent
            digest.update(b"\0?")
    name = f"{UPLOADS}/{digest.hexdigest()[:16]}"
    # {class} stands for the name of the folder, as in 10_sks dog, which thus has to be kept.
    return f"{name}/{folder.resolve().name}" if "{class}" in job.trigger_word else name
