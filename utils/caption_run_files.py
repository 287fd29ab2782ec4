"""The files of one folder run: which pictures still need a caption, and writing them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError
from .ledger import Ledger
from .picture_files import MAX_FILE_BYTES, picture_paths
from .sidecar_files import Journal, caption_path, clashing, fingerprint


@dataclass(slots=True)
class CaptionRun:
    """Pictures below `source`, captions at the same places below `target`.

    `recipe` tells one way of captioning from another: model, prompt, options, seed. With
    `overwrite`, captions this pack wrote by another recipe are written again; anything a
    person wrote or edited stays.
    """

    source: Path
    target: Path
    recipe: str
    overwrite: bool
    prefix: str = ""
    suffix: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    _journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self._journal = Journal(self.target)

    def todo(self, recursive: bool) -> list[Path]:
        """Pictures to caption, in order; all others are entered in the ledger.

        Raises:
            InputError: the folder holds no picture at all, and nothing in it is unreadable.
        """
        pictures = picture_paths(self.source, recursive, self._unlisted)
        if not pictures and not self.ledger.lines:
            raise InputError(
                f"{self.source} holds no picture.",
                "Put pictures there, choose another folder, or switch recursive on.",
            )
        twins = clashing(pictures)
        return [path for path in pictures if self._wanted(path, path in twins)]

    def name(self, picture: Path) -> str:
        """The picture's name in the ledger: its path below the source."""
        return picture.relative_to(self.source).as_posix()

    def fail(self, picture: Path, error: Exception) -> None:
        """Enter a failure, with its remedy where the error has one."""
        self.ledger.add(self.name(picture), "failed", str(error))

    def write(self, picture: Path, text: str, note: str = "") -> None:
        """Write one caption and enter it; a full disk or a read-only folder is a failure."""
        try:
            caption = self._caption(picture)
            whole = f"{self.prefix}{text}{self.suffix}"
            self._journal.write(caption, whole, self._made_from(picture))
        except OSError as error:
            remedy = "Make room, allow writing there, or shorten the name."
            detail = f"The caption was not written: {error}. {remedy}"
            self.ledger.add(self.name(picture), "failed", detail)
        else:
            self.ledger.add(self.name(picture), "written", note)

    def _unlisted(self, error: OSError) -> None:
        """Enter a folder whose pictures nobody can count."""
        folder = Path(error.filename or self.source)
        detail = f"Its pictures cannot be listed ({error.strerror or error}). Make it readable."
        self.ledger.add(f"{self.name(folder)}/", "failed", detail)

    def _wanted(self, picture: Path, has_twin: bool) -> bool:
        name = self.name(picture)
        if has_twin:
            detail = "Another picture has the same name but for its ending. Rename one of them."
            self.ledger.add(name, "failed", detail)
            return False
        try:
            _check_stays(picture, self.source)
            reason = self._reason_to_skip(picture)
        except (InputError, OSError) as error:
            self.fail(picture, error)
            return False
        if reason:
            self.ledger.add(name, "skipped", reason)
        return not reason

    def _reason_to_skip(self, picture: Path) -> str:
        caption = self._caption(picture)
        if not caption.exists():
            return ""
        if not self.overwrite:
            return "has a caption"
        made_from = self._journal.made_from(caption)
        if made_from is None:
            return "its caption was written or edited by others, or by a run on another folder"
        return "is up to date" if made_from == self._made_from(picture) else ""

    def _caption(self, picture: Path) -> Path:
        wanted = caption_path(picture, self.source, self.target)
        # Only the folder is followed: a caption that is a link is replaced, not written through.
        _check_stays(wanted.parent, self.target)
        return wanted

    def _made_from(self, picture: Path) -> str:
        return fingerprint(self.recipe, self.prefix, self.suffix, _file_sha(picture))


def _check_stays(path: Path, root: Path) -> None:
    """Raise InputError if a link on the way to `path` leads out of `root`.

    The names come from the disk, not from a workflow, so any of them is allowed: what begins
    with ~ or a space, or holds a backslash, is only a name here.
    """
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise InputError(
            f"{path.name} is reached by a link that leads out of {root}.",
            "Put the file or folder itself in the place of the link.",
        )


def _file_sha(path: Path) -> str:
    # A pipe would be waited for, a huge file fill the memory; both will fail as pictures.
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
