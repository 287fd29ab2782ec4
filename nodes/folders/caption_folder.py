"""Caption Folder: a folder of pictures in, a caption file beside each, a ledger out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...loaders.host.port import host
from ...utils.captions.journal import JOURNAL_NAME, Journal
from ...utils.captions.json_lines import JSON_LINES_NAME
from ...utils.captions.ledger import Ledger
from ...utils.captions.ledger_file import LEDGER_NAME, LedgerFile
from ...utils.captions.policy import APPEND, OVERWRITE_ALL, PREPEND
from ...utils.captions.recipe import Recipe
from ...utils.captions.sidecars import FORMATS
from ...utils.captions.view import no_pictures
from ...utils.captions.wording import Wording, parse_replacements
from ...utils.chat.options import GenerationOptions
from ...utils.dataset.jobs import Job
from ...utils.dataset.run import CaptionRun
from ...utils.errors import InputError
from ...utils.files.allowed_folders import Folder
from ...utils.files.atomic_write import (
    HOLDER_NAME,
    LOCK_NAME,
    check_own_files,
    check_space,
    naming,
    only_writer,
    sweep,
)
from ...utils.files.listing import PictureChoice, list_pictures
from .. import sockets
from ..folder_widgets import (
    background_input,
    caption_folder,
    check_folder,
    choice_inputs,
    dry_run_input,
    folder_input,
    format_input,
    frame_inputs,
    mode_input,
    overwrite_all_input,
    picture_choice,
    place_input,
    recursive_input,
    source_folder,
    wording_inputs,
)
from ..running import node_id_of
from ..streaming import duration
from ..widgets import preset_inputs
from .captioning import ATTEMPTS, FolderCaptioning
from .kinds import Asking, kinds

OWN_FILES = (LOCK_NAME, HOLDER_NAME, JOURNAL_NAME, LEDGER_NAME, JSON_LINES_NAME)


class Qwen3VLCaptionFolder(io.ComfyNode):
    """Captions a folder; safe to stop and to run again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCaptionFolder",
            display_name="Qwen3-VL Caption Folder",
            category=sockets.CATEGORY,
            description="Writes a caption file for every picture of a folder. Interrupt it "
            "whenever you like: the next run goes on.",
            search_aliases=["batch caption", "dataset", "training captions", "sidecar", "qwen"],
            inputs=[
                sockets.Model.Input("model"),
                folder_input(),
                recursive_input(),
                *preset_inputs(seed_changes=False),  # a new seed is a new recipe
                mode_input(),
                place_input(),
                *frame_inputs(),
                sockets.Options.Input("options", optional=True),
                *later_inputs(),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder)

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> float:
        """Never equal to the last run: the folder may have changed."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        model: Model,
        folder: str,
        recursive: bool,
        preset: str,
        instructions: str,
        system_prompt: str,
        seed: int,
        mode: str,
        place: str,
        prefix: str,
        suffix: str,
        options: GenerationOptions | None = None,
        format: str = "txt",  # noqa: A002 - the widget's name
        more_presets: str = "",
        trigger_word: str = "",
        replace: str = "",
        max_characters: int = 0,
        include: str = "",
        exclude: str = "",
        background: str = "white",
        dry_run: bool = False,
        allow_overwrite_all: bool = False,
    ) -> io.NodeOutput:
        """Caption what needs it; the ledger is the output and the node's text."""
        check_mode(mode, format, allow_overwrite_all)
        wording = Wording(parse_replacements(replace), max_characters, trigger_word, prefix, suffix)
        asking = Asking(model.identity, instructions, system_prompt, seed, options, background)
        made = kinds(preset, more_presets, wording, asking)
        source = source_folder(folder)
        target = caption_folder(source, place)
        plan = FolderPlan(source, target, picture_choice(recursive, include, exclude), format, mode)
        started = time.monotonic()
        recipes = [kind.recipe for kind in made.values()]
        with plan.opened(recipes, dry_run) as files:
            work = FolderCaptioning(files, made, node_id_of(cls))
            jobs = plan.jobs(files)
            if dry_run:
                work.try_out(jobs)
            elif jobs:
                check_space(target.path)
                # The likeliest answer is the same with every seed.
                attempts = 1 if options and options.temperature == 0 else ATTEMPTS
                work.caption(model, jobs, attempts)
        ledger = files.ledger
        report = [ledger.summary, speed(ledger, work.tokens, time.monotonic() - started)]
        return io.NodeOutput(str(ledger), ui={"text": [str(ledger)], "report": report})


def later_inputs() -> list[io.Input]:
    """Widgets added after the first release; optional, so that older workflows still run."""
    return [
        format_input(),
        io.String.Input(
            "more_presets",
            multiline=True,
            default="",
            optional=True,
            advanced=True,
            tooltip="Titles of further presets, a line each. Each makes one caption more for "
            "every picture: a.tags.txt beside a.txt.",
        ),
        *wording_inputs(),
        *choice_inputs(),
        background_input(),
        dry_run_input(),
        overwrite_all_input(),
    ]


def check_mode(mode: str, kind: str, allow_overwrite_all: bool) -> None:
    """Refuse what would lose captions by a slip, and what a format cannot do.

    Raises:
        InputError: with the switch or the format that helps.
    """
    if mode == OVERWRITE_ALL and not allow_overwrite_all:
        raise InputError(
            "overwrite all replaces captions that you wrote or edited.",
            "Switch allow_overwrite_all on if you mean it, or choose overwrite own.",
        )
    if mode in (APPEND, PREPEND) and kind != "txt":
        raise InputError(
            f"Nothing can be added to a caption in {kind}.",
            "Choose the format txt, or another mode.",
        )


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """Which pictures, and where and how their captions are kept."""

    source: Folder
    target: Folder
    choice: PictureChoice
    format: str
    mode: str

    @contextmanager
    def opened(self, recipes: Sequence[Recipe], dry_run: bool = False) -> Iterator[CaptionRun]:
        """The files of a run, ours alone for the length of the `with` block.

        Raises:
            InputError: another run has them, or they cannot be written.
        """
        folder = self.target.path
        check_own_files(folder, OWN_FILES)
        if dry_run:
            files = self._files(Ledger(dry_run=True), recipes)
            yield files
            return
        with only_writer(folder):
            sweep(folder)
            with naming(folder):
                file = LedgerFile(folder / LEDGER_NAME)
            with file:
                ledger = Ledger(file.add, f"{self.target.name}/{LEDGER_NAME}")
                files = self._files(ledger, recipes)
                with naming(folder):
                    files.begin()
                yield files
                file.add(ledger.summary)
            with suppress(OSError):  # the captions are written; the next run puts them in order
                files.end()

    def _files(self, ledger: Ledger, recipes: Sequence[Recipe]) -> CaptionRun:
        folder = self.target.path
        with naming(folder):
            journal = Journal(folder)
            store = FORMATS[self.format](folder, lambda path: self.target.check(path, write=True))
        return CaptionRun(self.source, store, journal, recipes, self.mode, ledger)

    def jobs(self, files: CaptionRun) -> list[Job]:
        """What is to be captioned; every other picture is in the ledger.

        Raises:
            InputError: no picture at all, and nothing in the folder is unreadable.
        """

        def unlisted(name: str, error: InputError) -> None:
            files.ledger.add(name or f"{self.source.name}/", "failed", str(error))

        names = list_pictures(self.source.path, self.choice, unlisted)
        if not names and not files.ledger.total:
            raise no_pictures(self.source)
        return files.decide(names, host().check_interrupt)


def speed(ledger: Ledger, tokens: int, seconds: float) -> str:
    """How long the run took, and how fast it was."""
    took = f"{ledger.total} lines in {duration(seconds)}"
    made = ledger.count("written")
    if not tokens or seconds <= 0:
        return took
    return f"{took}, {made / seconds:.2g} captions and {tokens / seconds:.0f} tokens a second"
