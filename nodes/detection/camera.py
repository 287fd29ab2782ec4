"""Camera: what saw the picture, for boxes in space."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.detection.cameras import read_camera
from ...utils.errors import InputError
from ...utils.files.small_text import read_small_text
from ..forms import sockets
from ..forms.search_words import search_words

# In place of a file: the text field. Stored in workflows.
NO_FILE = "(none)"
CAMERA_ENDINGS = (".json", ".txt")
MAX_FILES = 500


def camera_files() -> list[str]:
    """The menu of files in ComfyUI's input folder that may hold cameras."""
    try:
        folder = host().allowed_folders().locate("input")
        names = [
            entry.name for entry in folder.path.iterdir() if entry.suffix.lower() in CAMERA_ENDINGS
        ]
    except (InputError, OSError):  # not there yet: the menu has only the text field
        names = []
    return [NO_FILE, *sorted(names)[:MAX_FILES]]


class Qwen3VLCamera(io.ComfyNode):
    """A camera's intrinsics."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLCamera",
            display_name="Qwen3-VL Camera",
            category=sockets.BOXES_CATEGORY,
            description="Reads a camera's intrinsics out of numbers, a matrix or JSON, for 3D "
            "boxes at their true place.",
            search_aliases=search_words("Qwen3VLCamera"),
            inputs=[
                io.String.Input(
                    "parameters",
                    multiline=True,
                    default="",
                    tooltip="fx, fy, cx, cy in pixels; a 3 x 3 matrix, row by row; or JSON.",
                ),
                io.Combo.Input(
                    "file",
                    options=camera_files(),
                    default=NO_FILE,
                    tooltip="A .json or .txt file in ComfyUI's input folder, in place of the text.",
                ),
                io.String.Input(
                    "picture",
                    default="",
                    tooltip="For JSON that holds a camera for each picture: the picture's name.",
                ),
            ],
            outputs=[
                sockets.Camera.Output("camera", display_name="camera"),
                io.String.Output("intrinsics", display_name="intrinsics"),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, parameters: str, file: str, picture: str) -> str:
        """The file's text counts, not its name alone."""
        try:
            return f"{_text_of(parameters, file)}|{picture}"
        except InputError as error:
            return str(error)

    @classmethod
    def execute(cls, parameters: str, file: str, picture: str) -> io.NodeOutput:
        """The camera, and its four numbers as text."""
        camera = read_camera(_text_of(parameters, file), picture)
        words = f"{camera.fx:g}, {camera.fy:g}, {camera.cx:g}, {camera.cy:g}"
        return io.NodeOutput(camera, words, ui={"text": [words]})


def _text_of(parameters: str, file: str) -> str:
    if file == NO_FILE:
        return parameters
    folder = host().allowed_folders().locate("input")
    if file not in camera_files():
        raise InputError(f"There is no camera file {file[:80]!r}.", "Choose one from the menu.")
    return read_small_text(folder.check(folder.path / file))
