"""One folder and how it is captioned, as the command line or a line of the job file says it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen3vl_utils.captions.place import BESIDE, UNDER_OUTPUT
from qwen3vl_utils.captions.policy import ADDING, MODES, OVERWRITE, OVERWRITE_ALL, SKIP
from qwen3vl_utils.captions.sidecars import CAPTION_FORMATS
from qwen3vl_utils.captions.wording import parse_replacements
from qwen3vl_utils.chat.tasks import tasks_in
from qwen3vl_utils.errors import InputError

from .errors import UsageError

WORKFLOW = Path(__file__).parents[1] / "api" / "caption_folder.json"
NODE = "Qwen3VLCaptionFolder"
# Entries of the node's menus.
CHOICES = {
    "mode": MODES,
    "place": (BESIDE, UNDER_OUTPUT),
    "format": tuple(CAPTION_FORMATS),
    "background": ("white", "gray", "black"),
}
# Older nodes lack these widgets, so they are sent only when they say something.
NEW_WIDGETS: dict[str, Any] = {
    "format": "txt",
    "more_presets": "",
    "trigger_word": "",
    "replace": "",
    "max_characters": 0,
    "include": "",
    "exclude": "",
    "background": "white",
    "dry_run": False,
    "allow_overwrite_all": False,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A folder, either here (`folder`) or on the server (`on_server`), and the node's settings."""

    folder: Path | None = None
    on_server: str = ""
    model: str = "Qwen3-VL-Demo"
    preset: str = "Short caption"
    more_presets: tuple[str, ...] = ()
    instructions: str = ""
    system_prompt: str = ""
    prefix: str = ""
    suffix: str = ""
    trigger_word: str = ""
    replace: tuple[str, ...] = ()
    max_characters: int = 0
    seed: int = 0
    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    background: str = "white"
    format: str = "txt"
    place: str = BESIDE
    mode: str = SKIP
    allow_overwrite_all: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if (self.folder is None) == (not self.on_server):
            raise UsageError("Give either a folder of this machine or one of the server.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name} cannot be {getattr(self, name)!r}; it is one of {', '.join(choices)}."
                )
        if self.max_characters < 0 or self.seed < 0:
            raise UsageError("max_characters and seed cannot be below 0.")
        if self.mode == OVERWRITE_ALL and not self.allow_overwrite_all:
            raise UsageError(
                f"{OVERWRITE_ALL!r} also replaces what people wrote; say --allow-overwrite-all too."
            )
        self._check_lists()
        if self.folder is not None:
            self._check_local(self.folder)

    @property
    def name(self) -> str:
        """What messages call the folder."""
        return str(self.folder) if self.folder is not None else self.on_server

    @property
    def variants(self) -> tuple[str, ...]:
        """Nothing for the first preset's captions, and a short name for each further preset."""
        return ("", *(preset_ids()[title].removeprefix("caption_") for title in self.more_presets))

    def prompt(self, folder: str) -> tuple[dict[str, Any], str]:
        """The shared workflow for a folder of the server, and the id of its folder node."""
        prompt = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        ids = {node["class_type"]: node_id for node_id, node in prompt.items()}
        prompt[ids["Qwen3VLLoader"]]["inputs"]["model"] = self.model
        inputs = prompt[ids[NODE]]["inputs"]
        prompt[ids[NODE]]["inputs"] = {
            name: value for name, value in inputs.items() if name not in NEW_WIDGETS
        } | self._widgets(folder)
        return prompt, ids[NODE]

    def new_widgets(self) -> set[str]:
        """The widgets this job needs and an older node lacks."""
        return NEW_WIDGETS.keys() & self._widgets("").keys()

    def _widgets(self, folder: str) -> dict[str, Any]:
        same = ("recursive", "preset", "instructions", "system_prompt", "prefix", "suffix", "seed")
        widgets: dict[str, Any] = {name: getattr(self, name) for name in same}
        lines = ("more_presets", "replace", "include", "exclude")
        new: dict[str, Any] = {
            name: "\n".join(getattr(self, name)) if name in lines else getattr(self, name)
            for name in NEW_WIDGETS
        }
        widgets |= {"folder": folder, "mode": self.mode, "place": self.place}
        if self.folder is not None:
            # On the server stand only what was chosen here and captions of this client. It keeps
            # those that are up to date, and makes one again if its picture has changed.
            widgets |= {"mode": OVERWRITE, "place": UNDER_OUTPUT}
            new |= {"include": "", "exclude": "", "dry_run": False, "allow_overwrite_all": False}
        return widgets | {n: value for n, value in new.items() if value != NEW_WIDGETS[n]}

    def _check_lists(self) -> None:
        for name in ("more_presets", "replace", "include", "exclude"):
            for item in getattr(self, name):
                if not item.strip() or len(item.splitlines()) != 1:
                    raise UsageError(f"{name}: {item!r} is not one line of text.")
        for rule in self.replace:
            try:
                parse_replacements(rule)
            except InputError:
                problem = f"replace: {rule!r} is not of the form 'find => replacement'."
                raise UsageError(problem) from None

    def _check_local(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}.")
        if self.mode in ADDING:
            raise UsageError(
                f"{self.mode!r} works with --on-server only: from here, nobody could tell after a "
                "stop which captions already hold the new words. Use 'skip existing', or move the "
                "folder to the server."
            )
        if self.place != BESIDE:
            raise UsageError("place is for folders of the server; captions come back to yours.")
        for title in self.more_presets:
            if title not in preset_ids():
                raise UsageError(
                    f"There is no further preset {title!r}; there are {', '.join(preset_ids())}."
                )


@functools.cache
def preset_ids() -> dict[str, str]:
    """The id of each caption preset by its title; the captions' files are named after it."""
    try:
        return {task.title: task.id for task in tasks_in("caption")}
    except ImportError as error:
        raise UsageError("More presets need PyYAML: pip install pyyaml") from error
