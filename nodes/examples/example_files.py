"""The pack's example pictures and clips, so that every template runs as it is opened."""

from __future__ import annotations

from comfy_api.latest import InputImpl, io

from ...loaders.host.port import host
from ...utils.errors import InputError
from ...utils.files.picture_reader import read_picture
from ...utils.images.tensors import image_from_pictures
from ...utils.roots.allowed_folders import FolderFile
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.grounding import preview

PICTURES, CLIPS = "example images", "example videos"


def names(folder: str) -> list[str]:
    """The files of an example folder: all that a workflow can name; none where it was removed."""
    try:
        place = host().allowed_folders().locate(folder).path
    except InputError:
        return []
    return sorted(path.name for path in place.glob("[!.]*.*"))


def example(folder: str, name: str) -> FolderFile:
    """An example by its name; a text that is not on the list never becomes a path.

    Raises:
        InputError: there is no such example.
    """
    if name not in names(folder):
        raise InputError(
            f"There is no example {name[:80]!r}.", "Choose one from the menu of this node."
        )
    return FolderFile(host().allowed_folders().locate(folder), name)


class Qwen3VLExamplePicture(io.ComfyNode):
    """Gives one of the pack's pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLExamplePicture",
            display_name="Qwen3-VL Example Picture",
            category=sockets.CATEGORY,
            description="A picture that comes with this pack and that Qwen3-VL-Demo can read. "
            "For a picture of yours put Load Image in its place.",
            search_aliases=search_words("Qwen3VLExamplePicture"),
            inputs=[
                io.Combo.Input(
                    "picture",
                    options=names(PICTURES),
                    default="five_things.png",
                    tooltip="Drawn shapes, printed words, a card, a page, and a window.",
                )
            ],
            outputs=[io.Image.Output("image", display_name="image")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,  # else nothing is shown where the picture was cached
        )

    @classmethod
    def execute(cls, picture: str) -> io.NodeOutput:
        """The picture, [1, H, W, 3], shown in the node too."""
        image = image_from_pictures([read_picture(example(PICTURES, picture))])
        return io.NodeOutput(image, ui=preview(image, cls))


class Qwen3VLExampleClip(io.ComfyNode):
    """Gives one of the pack's clips."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLExampleClip",
            display_name="Qwen3-VL Example Clip",
            category=sockets.CATEGORY,
            description="A clip that comes with this pack and that Qwen3-VL-Demo can watch. "
            "For a film of yours put Load Video in its place.",
            search_aliases=search_words("Qwen3VLExampleClip"),
            inputs=[
                io.Combo.Input(
                    "clip",
                    options=names(CLIPS),
                    default="square_and_cross.mp4",
                    tooltip="Drawn shapes that come, move and go.",
                )
            ],
            outputs=[io.Video.Output("video", display_name="video")],
        )

    @classmethod
    def execute(cls, clip: str) -> io.NodeOutput:
        """The clip as a VIDEO; only what is used of it is read."""
        return io.NodeOutput(InputImpl.VideoFromFile(str(example(CLIPS, clip).path())))
