"""Save Captions: texts from any node become caption files, as careful as Caption Folder's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.captions.recipe import Recipe, clashing
from ...utils.captions.sidecars import MAX_CAPTION_BYTES
from ...utils.captions.wording import Wording, parse_replacements
from ...utils.dataset.jobs import Done, Job
from ...utils.dataset.run import CaptionRun
from ...utils.errors import InputError
from ...utils.files.atomic_write import check_space
from ...utils.files.listing import PictureChoice, list_pictures
from ...utils.files.picture_reader import file_facts
from .. import sockets
from ..folder_widgets import (
    caption_folder,
    check_folder,
    dry_run_input,
    folder_input,
    format_input,
    frame_inputs,
    mode_input,
    overwrite_all_input,
    place_input,
    source_folder,
    wording_inputs,
)
from .caption_folder import FolderPlan, check_mode

# So many captions share one wait for the disk.
TOGETHER = 64


class Qwen3VLSaveCaptions(io.ComfyNode):
    """Writes captions that a workflow made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLSaveCaptions",
            display_name="Qwen3-VL Save Captions",
            category=sockets.CATEGORY,
            description="Writes texts from any node as caption files of a folder's pictures. "
            "Takes the names from Qwen3-VL Folder Images.",
            search_aliases=["save text", "sidecar", "dataset", "training captions", "write txt"],
            inputs=[
                folder_input("The folder of the pictures, the same as in Folder Images."),
                io.String.Input(
                    "names",
                    force_input=True,
                    tooltip="Pictures as paths below the folder, from Folder Images.",
                ),
                io.String.Input(
                    "captions", force_input=True, tooltip="One text for each name, in its order."
                ),
                mode_input(),
                place_input(),
                *frame_inputs(),
                format_input(),
                *wording_inputs(),
                overwrite_all_input(),
                dry_run_input(),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            is_input_list=True,
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, folder: list[str] | None = None) -> bool | str:
        """Any allowed folder, also one that was made since the menu was filled."""
        return check_folder(folder[0] if folder else None)

    @classmethod
    def execute(
        cls,
        folder: Sequence[str],
        names: Sequence[str],
        captions: Sequence[str],
        mode: Sequence[str],
        place: Sequence[str],
        prefix: Sequence[str],
        suffix: Sequence[str],
        format: Sequence[str] = ("txt",),  # noqa: A002 - the widget's name
        trigger_word: Sequence[str] = ("",),
        replace: Sequence[str] = ("",),
        max_characters: Sequence[int] = (0,),
        allow_overwrite_all: Sequence[bool] = (False,),
        dry_run: Sequence[bool] = (False,),
    ) -> io.NodeOutput:
        """Every input comes as a list; those of the widgets have one value."""
        if len(names) != len(captions):
            raise InputError(
                f"There are {len(names)} names for {len(captions)} captions.",
                "Connect one caption for each name, in the same order.",
            )
        check_mode(mode[0], format[0], allow_overwrite_all[0])
        replacements = parse_replacements(replace[0])
        wording = Wording(replacements, max_characters[0], trigger_word[0], prefix[0], suffix[0])
        source = source_folder(folder[0])
        target = caption_folder(source, place[0])
        # Only as deep as the names go: the folder may have large ones inside.
        choice = PictureChoice(recursive=any("/" in str(name) for name in names))
        plan = FolderPlan(source, target, choice, format[0], mode[0])
        with plan.opened([], dry_run[0]) as files:
            if not dry_run[0]:
                check_space(target.path)
            Saving(files, wording, dry_run[0]).save(names, captions, choice)
        ledger = files.ledger
        ui = {"text": [str(ledger)], "report": [ledger.summary]}
        return io.NodeOutput(str(ledger), ui=ui)


@dataclass(frozen=True, slots=True)
class Saving:
    """One run: the files, and what is done to each text before it is written."""

    files: CaptionRun
    wording: Wording
    dry_run: bool

    def save(self, names: Sequence[str], captions: Sequence[str], choice: PictureChoice) -> None:
        """Write each caption or enter why not; names are untrusted, and captions too."""
        waiting: list[Done] = []
        try:
            for done in self._captions(names, captions, choice):
                waiting.append(done)
                if len(waiting) == TOGETHER:
                    self.files.write(waiting)
                    waiting = []
        finally:
            if waiting:
                self.files.write(waiting)

    def _captions(
        self, names: Sequence[str], captions: Sequence[str], choice: PictureChoice
    ) -> Iterator[Done]:
        """What is to be written; all else is in the ledger."""
        # A folder that cannot be listed needs no line of its own: its pictures' names have one.
        listed = list_pictures(self.files.source.path, choice, lambda *_: None)
        twins, known = clashing(listed, [""]), set(listed)
        times = Counter(map(str, names))
        for name, given in zip(names, captions, strict=True):
            host().check_interrupt()
            try:
                if not isinstance(name, str) or name not in known:
                    problem = f"{self.files.source.name} has no picture of this name."
                    raise InputError(problem, "Take the names from Folder Images.")
                if times[name] > 1:
                    problem = f"It is named {times[name]} times."
                    raise InputError(problem, "Give one caption for each picture.")
                text = self._text(name, given)
            except InputError as error:
                self.files.ledger.add(str(name), "failed", str(error))
                continue
            # A caption of its own recipe: another text is another making.
            recipe = Recipe("", self.wording, {"source": "workflow", "given": given})
            job = self.files.decide_one(name, [recipe], name in twins)
            yield from self._settled(job, text)

    def _text(self, name: str, given: str) -> str:
        """The caption of a picture, whole.

        Raises:
            InputError: there is no text, or too much.
        """
        if not isinstance(given, str) or not given.strip():
            raise InputError("Its caption has no text.", "Look at the node that made it.")
        text = self.wording.caption(given.strip(), self.files.folder_name(name))
        if not text.strip():
            raise InputError("Its caption has no text any more.", "Look at replace.")
        if len(text.encode("utf-8", "replace")) > MAX_CAPTION_BYTES:
            problem = f"Its caption has more than {MAX_CAPTION_BYTES // 1024**2} MiB."
            raise InputError(problem, "Set max_characters.")
        return text

    def _settled(self, job: Job, text: str) -> Iterator[Done]:
        """The caption, if one is wanted, with the facts of the picture that it is for."""
        if not job.wanted:
            return
        try:
            facts = file_facts(self.files.path(job.picture))
        except InputError as error:
            self.files.fail(job.picture, job.wanted, error)
            return
        ask, done = self.files.settle(job, facts)
        made = [*done, *(Done(job.picture, wanted, facts, text) for wanted in ask)]
        if not self.dry_run:
            yield from made
            return
        for one in made:
            self.files.plan(one.picture, one.wanted)
