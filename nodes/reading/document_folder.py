"""Document Folder: PDFs and scans of a folder in, a text beside each, a ledger out."""

from __future__ import annotations

from functools import partial

from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.captions.place import WHOLE_NAMES
from ...utils.captions.sidecars import MakeStore, TextFiles, store_maker
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.tasks import task
from ...utils.dataset.document_kinds import DocumentKind, pdfs, scans
from ...utils.dataset.medium import Media
from ...utils.dataset.scope import Scope, check_mode
from ..forms import sockets
from ..forms.folder_widgets import (
    caption_folder,
    check_folder,
    choice_inputs,
    dry_run_input,
    folder_input,
    mode_input,
    overwrite_all_input,
    picture_choice,
    place_input,
    recursive_input,
    source_folder,
)
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..shared.folder_running import run_folder
from ..shared.reading_running import WRITE, write_input
from ..shared.running import node_id_of

# Stored in workflows: append only.
PAGE_FORMATS = ("md", "json", "html")


class Qwen3VLDocumentFolder(io.ComfyNode):
    """Reads a folder of documents; safe to stop and to run again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLDocumentFolder",
            display_name="Qwen3-VL Document Folder",
            category=sockets.READING_CATEGORY,
            description="Writes a text beside every PDF and scan of a folder. Interrupt it "
            "whenever you like: the next run goes on.",
            search_aliases=search_words("Qwen3VLDocumentFolder"),
            inputs=[
                sockets.Model.Input("model"),
                folder_input(),
                recursive_input(),
                write_input(),
                seed_input(False),
                mode_input(),
                place_input(),
                sockets.Options.Input("options", optional=True),
                io.Combo.Input(
                    "format",
                    options=list(PAGE_FORMATS),
                    default="md",
                    optional=True,
                    tooltip="md and html: the text alone, by that ending. json: with model, "
                    "prompt, options, seed and time.",
                ),
                io.Float.Input(
                    "dpi", default=144.0, min=18.0, max=600.0, step=1.0, optional=True,
                    tooltip="Pixels an inch of PDF pages.",
                ),
                io.String.Input(
                    "password",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="Of encrypted PDFs. It is saved with the workflow.",
                ),
                *choice_inputs(),
                dry_run_input(),
                overwrite_all_input(),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

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
        write: str,
        seed: int,
        mode: str,
        place: str,
        options: GenerationOptions | None = None,
        format: str = "md",  # noqa: A002 - the widget's name
        dpi: float = 144.0,
        password: str = "",
        include: str = "",
        exclude: str = "",
        dry_run: bool = False,
        allow_overwrite_all: bool = False,
    ) -> io.NodeOutput:
        """Read what needs it; the ledger is the output and the node's text."""
        check_mode(mode, "json" if format == "json" else "txt", allow_overwrite_all)
        task_id, form, written_as = WRITE[write]
        kind = DocumentKind.of(model.identity, task(task_id), form, written_as, seed, options, dpi)
        media = Media((pdfs(kind, dpi, password), scans(kind, dpi)))
        source = source_folder(folder)
        target = caption_folder(source, place)
        choice = picture_choice(recursive, include, exclude)
        scope = Scope(source, target, choice, _store(format), mode)
        return run_folder(scope, media, model, options, dry_run, node_id_of(cls))


def _store(kind: str) -> MakeStore:
    """`a.pdf.md` beside `a.pdf`: a scan may have the same name without its ending."""
    if kind == "json":
        return store_maker("json", naming=WHOLE_NAMES)
    return partial(TextFiles, ending=f".{kind}", whole_names=True)
