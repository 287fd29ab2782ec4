"""The folders that nodes may read and write: ComfyUI's own, and those the owner listed."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from .beneath import open_beneath
from .folder_menu import folder_menu
from .open_folder import OpenFolder
from .safe_paths import OWNER_FILE, names_in, outside, real_inside

COMFYUI_ROOTS = ("input", "output", "temp")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that ComfyUI or the owner of the machine chose; `name` stands for it in menus."""

    name: str
    path: Path
    writable: bool

    def real(self) -> Path:
        """Its place with links followed."""
        return Path(os.path.realpath(self.path))


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in a root, which need not exist yet.

    Args:
        root: where it lies.
        path: its real place, links followed.
        name: what the menu calls it, such as `photos/2024`.
    """

    root: Root
    path: Path
    name: str

    def check(self, path: Path, write: bool = False) -> Path:
        """The real path of a file or folder, links followed; ask before every use of one.

        Args:
            path: relative to this folder, or absolute; its names come from the disk, so any
                name is allowed.
            write: whether something is to be written there.

        Raises:
            InputError: it is not in this folder's root, or is to be written in a read-only one.
        """
        real = real_inside(self.root.path, Path(self.path, path))
        if write and not self.root.writable:
            raise InputError(
                f"{self.root.name!r} is read-only, so nothing is written in {self.name}.",
                "Choose the output folder as the place, or set access to read-write for "
                f"{self.root.name!r} in {OWNER_FILE}.",
            )
        return real

    def open_real(self, real: Path | None = None, make: bool = False) -> OpenFolder:
        """This folder, or another one of its root by a real path that `check` gave, held open.

        Args:
            real: by default this folder.
            make: make it where it is not there.

        Raises:
            InputError: a link has come to be on the way to it since it was checked.
            OSError: it is not there, or cannot be opened.
        """
        root = self.root.real()
        path = self.path if real is None else real
        try:
            return open_beneath(root, path, make)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise outside(root, path) from None
            raise


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file of a folder, by its path below it; by the time it is opened it may be anything."""

    folder: Folder
    file: str

    @property
    def name(self) -> str:
        """Its own name, without the folders that it lies in."""
        return self.file.rpartition("/")[2]

    def path(self) -> Path:
        """Its real path, for messages and for what reads no open file.

        Raises:
            InputError: a link leads out of the folder's root.
        """
        return self.folder.check(Path(self.folder.path, self.file))

    def open(self) -> BinaryIO:
        """The file, open for reading; whoever takes it closes it.

        Raises:
            InputError: a link leads out of the folder's root.
            OSError: it cannot be opened, or is no ordinary file.
        """
        real = self.path()
        with self.folder.open_real(real.parent) as folder:
            return folder.read(real.name)


@dataclass(frozen=True, slots=True)
class AllowedFolders:
    """Every root, in the order of the menu; `problem` is why the owner's are missing."""

    roots: tuple[Root, ...]
    problem: InputError | None = None

    def locate(self, name: str) -> Folder:
        """The folder that a workflow names.

        Args:
            name: a root and the names below it, such as `photos/2024`.

        Raises:
            InputError: a name that leads elsewhere, an unknown root, the root is not there now,
                or the owner's list cannot be read.
        """
        names = names_in(name)
        root = self._root(names[0] if names else "")
        path = real_inside(root.path, Path(root.path, *names[1:]))
        return Folder(root, path, "/".join(names))

    def menu(self) -> list[str]:
        """Names for a menu: every root, each followed by folders below it; see `folder_menu`."""
        return folder_menu([(root.name, root.path) for root in self.roots])

    def _root(self, name: str) -> Root:
        root = next((root for root in self.roots if root.name == name), None)
        if root is None:
            if self.problem is not None:  # it may well be listed there
                raise self.problem
            known = ", ".join(root.name for root in self.roots)
            raise InputError(
                f"{name!r} is not inside an allowed folder: a name starts with one of {known}.",
                f"Choose a folder from the menu, or list yours in {OWNER_FILE}.",
            )
        # ComfyUI makes its own when it needs them.
        if name not in COMFYUI_ROOTS and not os.path.isdir(root.path):  # noqa: PTH112 - raises nothing
            raise InputError(
                f"The folder {name!r} of {OWNER_FILE} is not there: {root.path}.",
                "Connect its drive, make the folder, or correct its path in that file.",
            )
        return root
