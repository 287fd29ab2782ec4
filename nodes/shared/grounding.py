"""What the grounding nodes share: asking, reading answers, drawing, and saying how it went."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ...utils.chat.requests import Reply
from ...utils.detection.boxes import Box, Detections, Point, Shape
from ...utils.detection.boxes3d import DEFAULT_FIELD_OF_VIEW, AngleOrder, Box3D, Camera
from ...utils.detection.socket_values import from_box_value
from ...utils.drawing.annotate import draw_detections
from ...utils.errors import InputError, ParseError
from ...utils.images.picture import Picture
from ...utils.images.tensors import image_from_pictures
from ...utils.parsing.detections import parse_detections
from ...utils.parsing.names import CHINESE, ENGLISH, language_of
from ...utils.parsing.shapes import Units
from ...utils.text.numbers import to_number
from ..forms import sockets
from ..forms.widgets import STOP
from .running import NOTES_SHOWN, notes_of, report

log = logging.getLogger(__name__)

# What to do with an answer that cannot be read. Stored in workflows: append only.
LEAVE_EMPTY = "leave the image empty"
# The languages of labels. Stored in workflows: append only.
AS_ASKED = "the language of find"
NAMES_IN = {AS_ASKED: "", "English": ENGLISH, "\u4e2d\u6587": CHINESE}
KIND_NAMES: dict[type[Shape], str] = {Box: "boxes", Point: "points", Box3D: "3D boxes"}


def unreadable_input() -> io.Input:
    """The widget for answers that cannot be read."""
    return io.Combo.Input(
        "unreadable",
        options=[STOP, LEAVE_EMPTY],
        default=STOP,
        tooltip="For an answer that names places which cannot be read: stop, or go on without "
        "boxes for this image and say so in the report.",
    )


def read_all(
    texts: Sequence[str],
    sizes_wh: Sequence[tuple[int, int]],
    unreadable: str = STOP,
    units: Units = "qwen",
    order: AngleOrder = "pitch_yaw_roll",
    language: str = ENGLISH,
    names: Sequence[str] = (),
) -> list[Detections]:
    """One `Detections` for each text, about a picture of the size at its place; `names` are what
    errors call them, else they are numbered.

    Raises:
        ParseError: a text that cannot be read, by its number, unless `LEAVE_EMPTY` was chosen.
    """
    found = []
    for number, (text, (width, height)) in enumerate(zip(texts, sizes_wh, strict=True), 1):
        try:
            found.append(parse_detections(text, width, height, units, order, language))
        except ParseError as error:
            if unreadable == STOP:
                what = names[number - 1] if names else f"Image {number} of {len(texts)}"
                problem = f"{what}: {error.problem}"
                raise ParseError(problem, error.remedy) from error
            found.append(Detections(width, height, notes=(f"unreadable. {error.problem}",)))
    return found


def read_replies(
    replies: Sequence[Reply],
    pictures: Sequence[Picture],
    kind: type[Shape],
    unreadable: str = STOP,
    order: AngleOrder = "pitch_yaw_roll",
    language: str = ENGLISH,
    names: Sequence[str] = (),
) -> list[Detections]:
    """What each reply found in its picture; truncated too where a reply was cut off.

    Shapes of another kind than was asked for have no socket to leave on: a note counts them.
    """
    sizes_wh = [picture.size_wh for picture in pictures]
    texts = [reply.text for reply in replies]
    found = read_all(texts, sizes_wh, unreadable, order=order, language=language, names=names)
    return [
        replace(_only(kind, detections), truncated=detections.truncated or reply.truncated)
        for detections, reply in zip(found, replies, strict=True)
    ]


def _only(kind: type[Shape], found: Detections) -> Detections:
    kept = found.where(lambda item: isinstance(item.shape, kind))
    others = len(found.items) - len(kept.items)
    if not others:
        return found
    note = f"{others} left out, the answer does not give them as {KIND_NAMES[kind]}"
    return replace(kept, notes=(*found.notes, note))


def camera_inputs() -> list[io.Input]:
    """The widgets that say how a 3D box is seen."""
    return [
        io.Float.Input(
            "field_of_view",
            default=DEFAULT_FIELD_OF_VIEW,
            min=1.0,
            max=179.0,
            step=0.1,
            tooltip="Degrees across the picture, where the camera is not known.",
        ),
        io.String.Input(
            "intrinsics",
            default="",
            tooltip="fx, fy, cx, cy of the camera in pixels. Empty: from the field of view.",
        ),
    ]


def camera_socket() -> io.Input:
    """The socket for a camera from a node, appended to forms that had the widgets alone."""
    return sockets.Camera.Input(
        "camera",
        optional=True,
        tooltip="From Qwen3-VL Camera; counts more than field_of_view and intrinsics.",
    )


def names_input() -> io.Input:
    """The widget for the language of labels, where a model gives several names."""
    return io.Combo.Input(
        "names_in",
        options=list(NAMES_IN),
        default=AS_ASKED,
        optional=True,
        tooltip="Which name is the label, where the answer names things in several languages. "
        "The other names stay attributes.",
    )


def language_in(choice: str, words: str) -> str:
    """The language of labels: the chosen one, or that of the user's words."""
    return NAMES_IN.get(choice) or language_of(words)


def camera_of(
    field_of_view: float,
    intrinsics: str,
    width: int,
    height: int,
    camera: Camera | None = None,
) -> Camera:
    """The camera of a picture of `width` x `height` pixels; a connected one counts most.

    Raises:
        InputError: intrinsics that are not four usable numbers, or an impossible angle.
    """
    if camera is not None:
        return camera
    words = intrinsics.replace(",", " ").split()
    if not words:
        return Camera.from_field_of_view(width, height, field_of_view)
    numbers = [n for n in map(to_number, words) if n is not None]
    if len(words) != 4 or len(numbers) != 4:
        raise InputError(
            f"The intrinsics {intrinsics[:60]!r} are not four numbers.",
            "Write fx, fy, cx, cy in pixels, or nothing.",
        )
    return Camera(*numbers)


def overlay(
    pictures: Sequence[Picture],
    found: Sequence[Detections],
    camera: Camera | None = None,
    labels: bool = True,
) -> torch.Tensor:
    """Copies of the pictures with everything drawn: an IMAGE, float [B, H, W, 3], 0..1."""
    pairs = zip(pictures, found, strict=True)
    return image_from_pictures([draw_detections(one, d, camera, labels) for one, d in pairs])


def sizes_of(image: torch.Tensor) -> list[tuple[int, int]]:
    """(width, height) of each image of a batch [B, H, W, C].

    Raises:
        InputError: not a batch of images, or an empty one.
    """
    if image.ndim != 4 or 0 in image.shape:
        raise InputError(
            f"The IMAGE of shape {tuple(image.shape)} holds no picture.",
            "Check the node before this one: it gave an empty batch.",
        )
    return [(int(image.shape[2]), int(image.shape[1]))] * int(image.shape[0])


def read_boxes(value: object, sizes_wh: Sequence[tuple[int, int]]) -> list[Detections]:
    """A BOX value as `Detections`; most nodes have no report, so the log says what is left out.

    Raises:
        InputError: not such a value, or lists for another number of images.
    """
    found = from_box_value(value, sizes_wh)
    for number, detections in enumerate(found, 1):
        if detections.notes:
            size = f"{detections.width} x {detections.height}"
            notes = "; ".join(detections.notes[:NOTES_SHOWN])
            log.warning("Boxes of image %d, which has %s pixels: %s.", number, size, notes)
    return found


def found_report(
    found: Sequence[Detections], replies: Sequence[Reply] = (), names: Sequence[str] = ()
) -> str:
    """A line for each image on what was found, its notes below, then how the replies went."""
    lines = []
    for number, detections in enumerate(found, 1):
        line = f"{number}: {len(detections.items)} found"
        if detections.truncated:
            line += "; the answer was cut off, more may be there"
        if detections.repaired:
            line += "; the answer was not JSON of the form asked for and was repaired"
        lines.append(line)
        lines += notes_of(detections.notes)
    if replies:
        lines.append(report(replies, names=names))
    return "\n".join(lines)


def shown(texts: list[str], how: str, image: torch.Tensor, cls: type[io.ComfyNode]) -> dict:
    """The texts and the picture for the browser and for `/history`."""
    return {"text": texts, "report": [how]} | preview(image, cls)


def preview(image: torch.Tensor, cls: type[io.ComfyNode]) -> dict:
    """The picture for the browser; nothing on a host without one, which has no previews."""
    make = getattr(ui, "PreviewImage", None)
    return make(image, cls=cls).as_dict() if make else {}
