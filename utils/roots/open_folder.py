"""A folder that is held open: what is done in it by name is done in it, wherever its path leads."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

# Windows opens no folders, so there it is done by paths.
HAS_HANDLES = {os.open, os.link, os.rename, os.unlink, os.stat, os.mkdir} <= os.supports_dir_fd
# A pipe is not waited for, and a link at the end of a path is not followed.
_SAFE = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))


class NotOrdinaryError(OSError):
    """What is there is a folder, a link, a pipe or a device."""

    def __init__(self, path: Path):
        super().__init__(errno.EINVAL, "It is no ordinary file", str(path))


class OpenFolder:
    """The folder that was at `path` when it was opened; to be used in a `with` block.

    Args:
        path: for messages, and for systems that open no folders.
        handle: of the open folder, which this object closes; None where there is none.
    """

    def __init__(self, path: Path, handle: int | None):
        self.path, self._handle = path, handle

    @classmethod
    def at(cls, path: Path) -> OpenFolder:
        """The folder at a path whose links are followed: one that nobody else chose."""
        if not HAS_HANDLES:
            return cls(path, None)
        return cls(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """A handle of an ordinary file in it.

        Raises:
            NotOrdinaryError: it is none.
            OSError: it cannot be opened.
        """
        if not flags & os.O_EXCL:
            self._check_before(name, flags)
        place, folder = self._where(name)
        handle = os.open(place, flags | _SAFE, mode, dir_fd=folder)
        try:
            self._check(name, os.fstat(handle))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def read(self, name: str, most_bytes: int | None = None) -> BinaryIO:
        """An ordinary file in it, open for reading; whoever takes it closes it.

        Raises:
            OSError: it cannot be opened, or has more than `most_bytes`.
        """
        handle = self.open(name, os.O_RDONLY)
        if most_bytes is not None and os.fstat(handle).st_size > most_bytes:
            os.close(handle)
            raise OSError(errno.EFBIG, f"It has more than {most_bytes} bytes", name)
        return os.fdopen(handle, "rb")

    def facts(self, name: str) -> os.stat_result:
        """What lies there under a name; a link is told as one."""
        place, folder = self._where(name)
        return os.stat(place, dir_fd=folder, follow_symlinks=False)  # noqa: PTH116 - of a handle

    def leads_somewhere(self, name: str) -> bool:
        """Whether anything is there under a name; a link that leads nowhere is nothing."""
        place, folder = self._where(name)
        try:
            os.stat(place, dir_fd=folder)  # noqa: PTH116 - of a handle
        except OSError:
            return False
        return True

    def link(self, name: str, new: str) -> None:
        """Give a file a second name; FileExistsError where something has it."""
        (place, folder), (new_place, _) = self._where(name), self._where(new)
        os.link(place, new_place, src_dir_fd=folder, dst_dir_fd=folder)

    def replace(self, name: str, new: str) -> None:
        """Give a file another name, whatever had it before."""
        (place, folder), (new_place, _) = self._where(name), self._where(new)
        os.replace(place, new_place, src_dir_fd=folder, dst_dir_fd=folder)  # noqa: PTH105

    def remove(self, name: str) -> None:
        """Remove a file."""
        place, folder = self._where(name)
        os.unlink(place, dir_fd=folder)  # noqa: PTH108 - of a handle

    def _where(self, name: str) -> tuple[str | Path, int | None]:
        if self._handle is None:
            return self.path / name, None
        return name, self._handle

    def _check_before(self, name: str, flags: int) -> None:
        """Opening some devices has effects, so they are told apart before it too."""
        try:
            facts = self.facts(name)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        else:
            self._check(name, facts)

    def _check(self, name: str, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise NotOrdinaryError(self.path / name)

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
