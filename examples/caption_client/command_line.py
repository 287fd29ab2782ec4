"""The command line and the job file, both checked before anything is done."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qwen3vl_utils.captions.place import BESIDE
from qwen3vl_utils.captions.policy import OVERWRITE

from .errors import UsageError
from .jobs import CHOICES, Job

_DEFAULTS = {each.name: each.default for each in fields(Job)}
_TYPES = {name: type(value) for name, value in _DEFAULTS.items()} | {"folder": str}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; `json` is "" for no report and "-" for standard output."""

    jobs: tuple[Job, ...]
    server: str
    wait_seconds: float
    retries: int
    json: str


def options(description: str, arguments: Sequence[str] | None = None) -> Options:
    """Read the command line; ends the program with exit code 2 if it is wrong."""
    parser = _parser(description)
    given = vars(parser.parse_args(arguments))
    try:
        return _options(given)
    except UsageError as error:
        parser.error(str(error))


def _options(given: dict[str, Any]) -> Options:
    server, wait, retries = given.pop("server"), given.pop("wait"), given.pop("retries")
    places, file, report = given.pop("places", []), given.pop("jobs", None), given.pop("json")
    if given.pop("overwrite", False) and given.setdefault("mode", OVERWRITE) != OVERWRITE:
        raise UsageError(f"--overwrite is short for --mode '{OVERWRITE}'; give one of them.")
    if wait < 0 or retries < 0:
        raise UsageError("--wait and --retries cannot be below 0.")
    if report not in ("", "-") and not Path(report).expanduser().parent.is_dir():
        raise UsageError(f"--json: there is no folder {Path(report).expanduser().parent}.")
    base = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    jobs = [Job(**base, **{kind: value}) for kind, value in places]
    if file is not None:
        jobs += read_jobs(file, base)
    if not jobs:
        raise UsageError("Say which folders: --folder, --on-server or --jobs.")
    return Options(tuple(dict.fromkeys(jobs)), server, wait, retries, report)


def read_jobs(path: Path, base: Mapping[str, Any]) -> list[Job]:
    """The jobs of a JSON file, each on top of the flags; local folders are relative to the file.

    Raises:
        UsageError: it is not a list of objects with the known keys and right types.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = json.loads(text, object_pairs_hook=_each_key_once)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"The job file {path} cannot be read: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"The job file {path} is no list of folders: [{{...}}, {{...}}]")
    jobs = []
    for number, entry in enumerate(entries, 1):
        try:
            jobs.append(Job(**{**base, **_checked(entry, path.parent)}))
        except UsageError as error:
            raise UsageError(f"{path}, folder {number}: {error}") from error
    return jobs


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"a setting is there twice in {json.dumps(dict(pairs))[:300]}")
    return dict(pairs)


def _checked(entry: object, parent: Path) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise UsageError("It is no object {...}.")
    checked: dict[str, Any] = {}
    for name, value in entry.items():
        if name not in _TYPES:
            raise UsageError(f"There is no setting {name!r}; there are {', '.join(_TYPES)}.")
        wanted = _TYPES[name]
        is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not (is_list if wanted is tuple else type(value) is wanted):
            kind = "a list of texts" if wanted is tuple else f"a {wanted.__name__}"
            raise UsageError(f"{name} has to be {kind}, not {value!r}.")
        checked[name] = tuple(value) if wanted is tuple else value
    if "folder" in checked:
        checked["folder"] = parent / a_path(checked["folder"])
    return checked


def a_path(text: str) -> Path:
    """A path of the command line; the shells of Windows leave ~ to the program."""
    return Path(text).expanduser()


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_places(parser)
    _add_settings(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--server", default="http://127.0.0.1:8188")
    run.add_argument("--wait", type=float, default=300.0, metavar="SECONDS",
        help="how long to wait for a server that went away (300)")  # fmt: skip
    run.add_argument("--retries", type=int, default=2, metavar="N",
        help="for errors that may pass, in a row without one more caption (2)")  # fmt: skip
    run.add_argument("--json", default="", metavar="FILE",
        help="a report; - for standard output, all else is then on standard error")  # fmt: skip
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("folders (each may be given many times)")
    where.add_argument("--folder", dest="places", action="append", metavar="PATH",
        type=lambda text: ("folder", a_path(text)),
        help="a folder of pictures on this machine")  # fmt: skip
    where.add_argument("--on-server", dest="places", action="append", metavar="NAME",
        type=lambda text: ("on_server", text),
        help="a folder of the server by the node's name: input/pics, output/x, photos/2024; "
        "a bare pics means input/pics")  # fmt: skip
    where.add_argument("--jobs", type=a_path, metavar="FILE",
        help="a JSON list of folders with their own settings")  # fmt: skip


def _add_settings(parser: argparse.ArgumentParser) -> None:
    each = parser.add_argument_group("the captions (as in the node; for every folder)")
    many: dict[str, Any] = {"action": "append", "metavar": "TEXT"}
    each.add_argument("--model", help=f"a name of the loader's menu ({_DEFAULTS['model']})")
    each.add_argument("--preset", help=f"a name of the node's menu ({_DEFAULTS['preset']})")
    each.add_argument("--more-presets", **many, help="one more caption by this preset; repeatable")
    each.add_argument("--instructions", help="added to the preset's prompt")
    each.add_argument("--system-prompt")
    each.add_argument("--prefix", help="before every caption")
    each.add_argument("--suffix", help="after every caption")
    each.add_argument("--trigger-word", help="put first unless the caption says it")
    each.add_argument("--replace", **many, help="'find => replacement'; repeatable")
    each.add_argument("--max-characters", type=int, metavar="N", help="of a caption; 0: no limit")
    each.add_argument("--seed", type=int)
    each.add_argument("--recursive", action="store_true", help="also folders inside")
    each.add_argument("--include", **many, help="only these, as *.jpg or cats/*; repeatable")
    each.add_argument("--exclude", **many, help="not these; repeatable")
    each.add_argument("--background", choices=CHOICES["background"], help="under transparency")
    each.add_argument("--format", choices=CHOICES["format"])
    each.add_argument("--place", choices=CHOICES["place"], help=f"on the server ({BESIDE})")
    each.add_argument("--mode", choices=CHOICES["mode"])
    each.add_argument("--overwrite", action="store_true", help=f"--mode '{OVERWRITE}'")
    each.add_argument("--allow-overwrite-all", action="store_true")
    each.add_argument("--dry-run", action="store_true", help="say what would happen, do nothing")
