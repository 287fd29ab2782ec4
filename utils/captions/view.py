"""The pictures of a folder with the captions they have; looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InputError
from ..files.fingerprint import digest_of, file_stamp
from ..roots.allowed_folders import Folder, FolderFile
from ..roots.listing import FileChoice, list_files
from .place import Place
from .sidecars import NO_CAPTION, CaptionStore, MakeStore


@dataclass(frozen=True, slots=True)
class CaptionView:
    """Names of the pictures of `source` in order, their captions in `store`.

    `unlisted` are folders that could not be looked into, as `list_files` tells them.
    """

    source: Folder
    store: CaptionStore
    names: list[str]
    unlisted: list[tuple[str, InputError]]

    @classmethod
    def of(cls, source: Folder, target: Folder, choice: FileChoice, make: MakeStore) -> CaptionView:
        """The pictures of `source`, whose captions lie in `target` as `make` keeps them.

        Raises:
            InputError: there is no picture, or the file of all captions cannot be read.
        """
        unlisted: list[tuple[str, InputError]] = []
        names = list_files(source.path, choice, lambda *one: unlisted.append(one))
        if not names:
            raise nothing_meant(source, unlisted)
        try:
            store = make(target, False)
        except OSError as error:
            raise _unreadable(f"The captions in {target.name} cannot be read", error) from error
        return cls(source, store, names, unlisted)

    def file(self, picture: str) -> FolderFile:
        """One picture of the folder, to be opened."""
        return FolderFile(self.source, picture)

    def has_caption(self, picture: str) -> bool:
        """Whether anything stands where the picture's caption belongs.

        Raises:
            InputError: that place cannot be looked at.
        """
        try:
            return self.store.exists(self.store.name(Place(picture)))
        except OSError as error:
            raise _unreadable(f"The caption of {picture} cannot be looked for", error) from error

    def caption(self, picture: str) -> str | None:
        """The picture's caption; None where it has none.

        Raises:
            InputError: what stands there is no caption.
        """
        try:
            content = self._content(picture)
            if content is None:
                return None
            if content != NO_CAPTION:
                return self.store.text(content)
            why: object = "it is too large, or no file"
        except OSError as error:
            why = error
        except InputError as error:
            raise InputError(f"The caption of {picture} cannot be read.", str(error)) from error
        raise _unreadable(f"The caption of {picture} cannot be read", why)

    def state(self, pictures: Iterable[str]) -> str:
        """A digest of what these pictures and captions are now, of times instead of pixels."""
        values: list[str | bytes] = [str(len(self.names)), *(name for name, _ in self.unlisted)]
        for picture in pictures:
            try:
                facts = self.file(picture).path().stat()
                content = self._content(picture)
                values += [picture, file_stamp(facts), str(content is None)]
                values.append(content or b"")
            except (InputError, OSError) as error:
                values += [picture, str(error)]
        return digest_of(*values).hex()

    def _content(self, picture: str) -> bytes | None:
        return self.store.content(self.store.name(Place(picture)))


def nothing_meant(
    source: Folder, unlisted: Iterable[tuple[str, InputError]] = (), noun: str = "picture"
) -> InputError:
    """The error of a folder without files that are meant, with what could not be looked into."""
    why = "".join(f" {name or source.name}: {error.problem}" for name, error in unlisted)
    return InputError(
        f"{source.name} holds no {noun} that is meant.{why}",
        f"Put {noun}s there, choose another folder, switch recursive on, or look at "
        "include and exclude.",
    )


def _unreadable(problem: str, why: object) -> InputError:
    reason = (why.strerror or why) if isinstance(why, OSError) else why
    return InputError(f"{problem} ({reason}).", "Correct or remove the file.")
