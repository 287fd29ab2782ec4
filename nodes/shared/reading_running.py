"""What the reading nodes share: the choice of a turn, pictures as IMAGE, reading with a report."""

from __future__ import annotations

from collections.abc import Iterable

from comfy_api.latest import io

from ...utils.detection.turning import Rotation
from ...utils.parsing.document_answer import AnswerForm

# How a picture stands. Stored in workflows: append only.
TURNED = {
    "upright": 0, "turned right (90°)": 90, "upside down (180°)": 180, "turned left (90°)": 270,
}  # fmt: skip
# Stored in workflows: append only. What is asked for, and what it is written as.
WRITE: dict[str, tuple[str, AnswerForm, AnswerForm]] = {
    "Markdown": ("document_markdown", "markdown", "markdown"),
    "HTML": ("document_html", "html", "html"),
    "Markdown, by way of HTML": ("document_html", "html", "markdown"),
}


def write_input() -> io.Input:
    """The widget that says what is asked for, and what it is written as."""
    return io.Combo.Input(
        "write",
        options=list(WRITE),
        default="Markdown",
        tooltip="Markdown knows the places of pictures and tables only; by way of "
        "HTML, every block has one.",
    )


def turned_input() -> io.Input:
    """The widget that says how the picture stands."""
    return io.Combo.Input(
        "turned",
        options=list(TURNED),
        default="upright",
        optional=True,
        advanced=True,
        tooltip="How the picture stands. It is shown to the model upright; places are given on "
        "the picture as it is.",
    )


def turn_of(name: str) -> Rotation:
    """The turn of a menu entry."""
    return Rotation(TURNED.get(name, 0))


def joined(lines: Iterable[str]) -> str:
    """Lines of a report that say something."""
    return "\n".join(line for line in lines if line)
