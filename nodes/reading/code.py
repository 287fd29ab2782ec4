"""Code: a screenshot, sketch, diagram or chart as code, which is looked at and never run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.chat.composition import EACH, TOGETHER, requests_for
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.requests import Reply
from ...utils.chat.tasks import task
from ...utils.errors import ParseError
from ...utils.images.tensors import pictures_from_tensor
from ...utils.text.fenced_code import SUFFIXES, CodeLanguage, Snippet, read_code
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import GO_ON, STOP, seed_input
from ..shared.reading_running import joined
from ..shared.running import answer_all, node_id_of, notes_of, report
from ..shared.text_saving import file_name_input, saved_file

# Stored in workflows: append only.
LANGUAGES: dict[str, CodeLanguage] = {
    "HTML": "html", "Draw.io": "drawio", "SVG": "svg", "Mermaid": "mermaid",
    "matplotlib": "matplotlib",
}  # fmt: skip


class Qwen3VLCode(io.ComfyNode):
    """Writes code that looks like a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCode",
            display_name="Qwen3-VL Code",
            category=sockets.CATEGORY,
            description="Turns screenshots, sketches, diagrams and charts into code. It is checked "
            "whether it parses; it is never run or shown as a page.",
            search_aliases=search_words("Qwen3VLCode"),
            inputs=[
                sockets.Model.Input("model"),
                io.Image.Input("image"),
                io.Combo.Input("language", options=list(LANGUAGES), default="HTML"),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    default="",
                    tooltip="Added to what is asked, e.g. a framework or what to leave out.",
                ),
                io.Combo.Input("batch", options=[EACH, TOGETHER], default=EACH),
                io.Combo.Input(
                    "invalid",
                    options=[STOP, GO_ON],
                    default=STOP,
                    tooltip="For code that does not parse, or is cut off.",
                ),
                seed_input(),
                io.Boolean.Input(
                    "save",
                    default=False,
                    tooltip="Writes code that parses into the output folder.",
                ),
                file_name_input("code"),
                sockets.Options.Input("options", optional=True),
            ],
            outputs=[
                io.String.Output("code", display_name="code", is_output_list=True),
                io.Boolean.Output("valid", display_name="valid", is_output_list=True),
                io.String.Output("files", display_name="files", is_output_list=True),
                io.String.Output("thinking", display_name="thinking", is_output_list=True),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Model,
        image: torch.Tensor,
        language: str,
        instructions: str,
        batch: str,
        invalid: str,
        seed: int,
        save: bool,
        file_name: str,
        options: GenerationOptions | None = None,
    ) -> io.NodeOutput:
        """One piece of code for each image, or one for all."""
        kind = LANGUAGES[language]
        chosen = task(f"code_{kind}")
        words = f"{chosen.fill()} {instructions.strip()}".strip()
        requests = requests_for(
            pictures_from_tensor(image),
            words,
            together=batch == TOGETHER,
            options=options,
            task=chosen,
            seed=seed,
        )
        replies = answer_all(model, requests, node_id_of(cls))
        found = [_read(n, replies, kind, invalid == STOP) for n in range(len(replies))]
        valid = [not one.fault and not one.truncated for one in found]
        files = [
            saved_file(one.code, file_name, SUFFIXES[kind], "code") if save and good else ""
            for one, good in zip(found, valid, strict=True)
        ]
        how = joined([*_lines(found, files), report(replies)])
        codes = [one.code for one in found]
        return io.NodeOutput(
            codes,
            valid,
            files,
            [reply.thinking for reply in replies],
            how,
            ui={"text": codes, "report": [how]},
        )


def _read(number: int, replies: Sequence[Reply], kind: CodeLanguage, strict: bool) -> Snippet:
    """The code of a reply; without one, or with a fault, the run stops or goes on.

    Raises:
        ParseError: `strict`, and there is no code, or code that does not parse.
    """
    reply = replies[number]
    where = f"Answer {number + 1} of {len(replies)}: "
    try:
        found = read_code(reply.text, kind)
    except ParseError as error:
        if strict:
            raise ParseError(where + error.problem, error.remedy) from error
        return Snippet("", kind, error.problem, reply.truncated)
    if reply.truncated and not found.truncated:
        found = Snippet(found.code, kind, found.fault, True, found.notes)
    if strict and (found.fault or found.truncated):
        why = found.fault or "the answer was cut off"
        raise ParseError(
            f"{where}the code cannot be used: {why}.",
            "Raise max_new_tokens in Qwen3-VL Options, ask again with another seed, or let the "
            "node go on.",
        )
    return found


def _lines(found: Sequence[Snippet], files: Sequence[str]) -> list[str]:
    lines = []
    for number, (one, file) in enumerate(zip(found, files, strict=True), 1):
        line = f"{number}: {len(one.code)} characters"
        line += f"; does not parse: {one.fault}" if one.fault else "; parses"
        line += "; cut off" if one.truncated else ""
        line += f"; saved as {file}" if file else ""
        lines += [line, *notes_of(one.notes)]
    return lines
