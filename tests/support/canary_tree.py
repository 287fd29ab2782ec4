"""A tree with allowed folders, secrets outside of them, and an alarm for whoever touches those."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qwen3vl_nodes.utils.roots.allowed_folders import AllowedFolders, Root

SECRET = "secret.txt"
WRITABLE = {"input": True, "output": True, "temp": True, "photos": False, "training": True}
# Links in the input folder and where they lead.
LINKS = {
    "link_out": "../outside",
    "link_file": f"../outside/{SECRET}",
    "link_up": "..",
    "link_far_up": "../../../..",
    "link_sibling": "../input2",
    "link_chain": "link_out",
    "link_through": "pics/../link_up/outside",
    "link_loop": "link_loop",
    "link_other_root": "../photos",
    "link_nowhere": "../outside/not there",
    "link_in": "pics",
    "link_to_root": ".",
    "pics/link_deep": "../../outside/private",
    "link_ spaced": "../outside",
    ".link_hidden": "../outside",
}
LINKS_THAT_STAY = ("link_in", "link_to_root")
# Everything by which Python opens, lists or changes a file, with how many of its paths count.
_TOUCHING = {
    "open": 1, "os.listdir": 1, "os.scandir": 1, "os.mkdir": 1, "os.rmdir": 1, "os.remove": 1,
    "os.truncate": 1, "os.chmod": 1, "os.chown": 1, "os.utime": 1, "os.rename": 2, "os.link": 2,
    "os.symlink": 2,
}  # fmt: skip


@dataclass(frozen=True)
class CanaryTree:
    """`base` holds the roots, and beside them what nobody may open, list or change."""

    base: Path

    @property
    def outside(self) -> Path:
        return self.base / "outside"

    def allowed(self) -> AllowedFolders:
        return AllowedFolders(tuple(Root(n, self.base / n, w) for n, w in WRITABLE.items()))

    def is_allowed(self, path: str | Path) -> bool:
        """Whether the real place of a path is one of the roots or in one."""
        return self.holds(os.path.realpath(path))

    def holds(self, real: str) -> bool:
        """The same for a path without links; written otherwise than the guard it tests."""
        return Path(os.path.relpath(real, self.base)).parts[:1] in [(name,) for name in WRITABLE]

    def state(self) -> dict[str, tuple[int, int, bytes]]:
        """Mode, time and content of everything in `base` that is in no root."""
        found = {}
        for folder, names, files in os.walk(self.base):
            if Path(folder) == self.base:
                names[:] = [name for name in names if name not in WRITABLE]
            for path in [Path(folder), *(Path(folder, name) for name in files)]:
                facts = path.lstat()
                content = b"" if path.is_dir() else path.read_bytes()
                found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
        return found

    @contextmanager
    def alarm(self) -> Iterator[list[str]]:
        """The list it gives fills with what is touched in `base` outside the roots meanwhile.

        Only Python's own calls are seen, and a path relative to a `dir_fd` is not understood;
        `state` before and after also shows what others wrote.
        """
        watch = _Watch(self)
        if not _watches:
            sys.addaudithook(_notice)
        _watches.append(watch)
        try:
            yield watch.touched
        finally:
            watch.is_on = False


def make_canary_tree(base: Path) -> CanaryTree:
    """Fill an empty folder."""
    base = base.resolve()
    for name in ("input/pics/deep", "input/.hidden", "photos/2024", "training/set 1"):
        (base / name).mkdir(parents=True)
    for name in ("output", "temp", "input2", "outside/private"):
        (base / name).mkdir(parents=True)
    for name in ("outside", "outside/private", "input2", "."):
        (base / name / SECRET).write_text("the secret")
    for name in ("input/pics/a.txt", "photos/2024/a.txt", "input/.hidden/a.txt"):
        (base / name).write_text("allowed")
    for name, target in LINKS.items():
        (base / "input" / name).symlink_to(target)
    return CanaryTree(base)


@dataclass
class _Watch:
    tree: CanaryTree
    touched: list[str] = field(default_factory=list)
    is_on: bool = True

    def notice(self, event: str, path: object) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        try:
            real = os.path.realpath(os.fsdecode(path))
        except ValueError:  # with a NUL nothing is opened
            return
        in_base = f"{real}{os.sep}".startswith(f"{self.tree.base}{os.sep}")
        if in_base and not self.tree.holds(real):
            self.touched.append(f"{event} {real}")


# A hook cannot be taken away again, so there is one, and watches that are on or off.
_watches: list[_Watch] = []


def _notice(event: str, args: tuple[object, ...]) -> None:
    if event in _TOUCHING:
        for watch in _watches:
            if watch.is_on:
                for path in args[: _TOUCHING[event]]:
                    watch.notice(event, path)
