"""The files of one folder run: which pictures still need a caption, and writing them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InputError
from .ledger import Ledger
from .picture_files import MAX_FILE_BYTES, picture_paths
from .safe_paths import inside
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
            InputError: the folder holds no picture at all.
        """
        pictures = picture_paths(self.source, recursive)
        if not pictures:
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
            self.ledger.add(self.name(picture), "failed", f"The caption was not written: {error}.")
        else:
            self.ledger.add(self.name(picture), "written", note)

    def _wanted(self, picture: Path, has_twin: bool) -> bool:
        name = self.name(picture)
        if has_twin:
            detail = "Another picture has the same name but for its ending. Rename one of them."
            self.ledger.add(name, "failed", detail)
            return False
        try:
            inside(self.source, name)  # a link may lead out of the folder
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
            return "its caption was written or edited by somebody else"
        return "is up to date" if made_from == self._made_from(picture) else ""

    def _caption(self, picture: Path) -> Path:
        wanted = caption_path(picture, self.source, self.target)
        # Only the folder is followed: a caption that is a link is replaced, not written through.
        parent = inside(self.target, wanted.parent.relative_to(self.target).as_posix())
        return Path(self.target, parent.relative_to(Path(self.target).resolve()), wanted.name)

    def _made_from(self, picture: Path) -> str:
        return fingerprint(self.recipe, self.prefix, self.suffix, _file_sha(picture))


def _file_sha(path: Path) -> str:
    if path.stat().st_size > MAX_FILE_BYTES:  # never read; it will fail as a picture
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
