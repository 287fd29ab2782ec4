"""Caption Folder: a folder of pictures in, a caption file beside each, a ledger out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from comfy_api.latest import io

from ..loaders import comfy_bridge
from ..loaders.engine.protocol import Outcome
from ..loaders.local import LocalModel
from ..utils.caption_run_files import CaptionRun
from ..utils.chat import GenerationOptions, Picture, Reply, Request
from ..utils.errors import InputError, Qwen3VLError
from ..utils.picture_files import read_ahead
from ..utils.safe_paths import inside
from ..utils.sidecar_files import check_space, fingerprint, only_writer, sweep
from . import sockets
from .ask import caption_prompt, preset_inputs
from .asking import MAX_SEED, requests_for
from .running import CUT_OFF, node_id_of, run

# Stored in workflows: append only.
SKIP, OVERWRITE = "skip existing", "overwrite own"
BESIDE, UNDER_OUTPUT = "beside the picture", "in the output folder"
OUTPUT_SUBFOLDER = "captions"
# A bad answer is asked for once more with another seed, and then it is a failure.
ATTEMPTS = 2


class Qwen3VLCaptionFolder(io.ComfyNode):
    """Captions a folder; safe to stop and to run again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCaptionFolder",
            display_name="Qwen3-VL Caption Folder",
            category=sockets.CATEGORY,
            description="Writes a .txt caption for every picture of a folder below ComfyUI's "
            "input folder. Interrupt it whenever you like: the next run goes on.",
            search_aliases=["batch caption", "dataset", "training captions", "sidecar", "qwen"],
            inputs=[
                sockets.Model.Input("model"),
                io.String.Input(
                    "folder",
                    default="",
                    tooltip="A folder below ComfyUI's input folder; empty: the input folder.",
                ),
                io.Boolean.Input("recursive", default=False, tooltip="Also folders inside."),
                *preset_inputs(seed_changes=False),  # a new seed is a new recipe
                io.Combo.Input(
                    "mode",
                    options=[SKIP, OVERWRITE],
                    default=SKIP,
                    tooltip="overwrite own: write again what this node wrote with other settings. "
                    "A caption that you wrote or edited is never touched.",
                ),
                io.Combo.Input(
                    "place",
                    options=[BESIDE, UNDER_OUTPUT],
                    default=BESIDE,
                    tooltip=f"The output folder's place is output/{OUTPUT_SUBFOLDER}/<folder>.",
                ),
                io.String.Input("prefix", default="", tooltip="Before every caption, as it is."),
                io.String.Input("suffix", default="", tooltip="After every caption, as it is."),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[io.String.Output("ledger", display_name="ledger")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> float:
        """Never equal to the last run: the folder may have changed."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        model: LocalModel,
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
    ) -> io.NodeOutput:
        """Caption what needs it; the ledger is the output and the node's text."""
        task, words = caption_prompt(preset, instructions)
        source, target = folders(folder, place)

        def request_for(picture: Picture, name: str, attempt: int) -> Request:
            return requests_for(
                [picture], words, system_prompt=system_prompt, options=options, task=task,
                seed=seed_for(seed + attempt, name),
            )[0]  # fmt: skip

        recipe = fingerprint(model.identity, words, system_prompt, repr(options), str(seed))
        with only_writer(target):
            sweep(target)
            files = CaptionRun(source, target, recipe, mode == OVERWRITE, prefix, suffix)
            # The likeliest answer is the same with every seed.
            attempts = 1 if options and options.temperature == 0 else ATTEMPTS
            _caption(model, files, files.todo(recursive), request_for, attempts, node_id_of(cls))
        ledger = str(files.ledger)
        return io.NodeOutput(ledger, ui={"text": [ledger], "report": [files.ledger.summary]})


def folders(folder: str, place: str) -> tuple[Path, Path]:
    """Where the pictures are and where their captions go.

    Raises:
        InputError: outside ComfyUI's folders, or not there.
    """
    source = inside(comfy_bridge.input_folder(), folder)
    if not source.is_dir():
        raise InputError(
            f"There is no folder {folder!r} in {comfy_bridge.input_folder()}.",
            "Make it and put the pictures there, or correct the name.",
        )
    if place == BESIDE:
        return source, source
    below = source.relative_to(comfy_bridge.input_folder().resolve()).as_posix()
    return source, inside(comfy_bridge.output_folder(), f"{OUTPUT_SUBFOLDER}/{below}")


def seed_for(seed: int, name: str) -> int:
    """A picture's own seed: it depends on its name, not on which others are left to do."""
    # A name in another encoding than UTF-8, as old archives leave them, holds lone surrogates.
    encoded = name.encode("utf-8", "surrogatepass")
    own = int.from_bytes(hashlib.sha256(encoded).digest()[:8], "big")
    return (seed + own) & MAX_SEED


def _caption(
    model: LocalModel,
    files: CaptionRun,
    pictures: list[Path],
    request_for: Callable[..., Request],
    attempts: int,
    node_id: str | None,
) -> None:
    """Caption the pictures, those with bad answers again, until `attempts` have been made."""
    for attempt in range(attempts):
        if not pictures:  # nothing to do needs no model
            break
        check_space(files.target)
        asked: list[Path] = []
        requests = _requests(files, pictures, asked, partial(request_for, attempt=attempt))
        with closing(run(model, requests, len(pictures), node_id)) as outcomes:
            pictures = _enter_all(files, asked, outcomes, last=attempt == attempts - 1)


def _requests(
    files: CaptionRun,
    pictures: list[Path],
    asked: list[Path],
    request_for: Callable[[Picture, str], Request],
) -> Iterator[Request]:
    """Requests for the pictures that can be read; `asked[n]` is the picture of request n."""
    for path, picture in read_ahead(pictures):
        if isinstance(picture, InputError):
            files.fail(path, picture)
            continue
        asked.append(path)
        yield request_for(picture, files.name(path))


def _enter_all(
    files: CaptionRun, asked: list[Path], outcomes: Iterable[tuple[int, Outcome]], last: bool
) -> list[Path]:
    """Write or enter every outcome; the pictures to ask about again, unless this was the last."""
    again = []
    for index, outcome in outcomes:
        picture, problem = asked[index], _problem(outcome)
        if isinstance(outcome, Reply) and problem is None:
            note = CUT_OFF.get(outcome.stopped_by, "").strip("; ")
            files.write(picture, outcome.text, note)
        elif isinstance(outcome, Reply) and not last:
            again.append(picture)
        elif problem is not None:
            files.fail(picture, problem)
    return again


def _problem(outcome: Outcome) -> Qwen3VLError | None:
    """Why an outcome is no caption; None when it is one."""
    if isinstance(outcome, Qwen3VLError):
        return outcome
    if outcome.stopped_by == "repetition":
        remedy = "Raise presence_penalty, or use another prompt or seed."
        return InputError("The answer repeats itself without end.", remedy)
    if outcome.text:
        return None
    if outcome.stopped_by == "stop_string":
        problem = "The answer has no text before a stop text of the options."
        return InputError(problem, "Take that text out of stop.")
    used = f"{outcome.tokens} tokens went into thinking" if outcome.thinking else "it is empty"
    remedy = "Raise max_new_tokens, or use another prompt or seed."
    return InputError(f"The answer has no text: {used}.", remedy)
