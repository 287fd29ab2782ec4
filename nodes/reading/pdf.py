"""Load PDF: pages of a document as images, or one after another for Document."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.documents.pdf_file import PageRange
from ...utils.errors import InputError
from ...utils.files.pdf_pages import PdfPages, located, opened, pdf_menu, stamp_of
from ...utils.images.tensors import image_from_pictures
from ..forms import sockets
from ..forms.search_words import search_words
from ..shared.reading_running import TURNED, turned_input
from ..shared.running import node_id_of

# Stored in workflows: append only.
IMAGES, STREAM = "images", "pages one by one"
MAX_DPI = 600


class Qwen3VLLoadPDF(io.ComfyNode):
    """Gives the pages of a PDF."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLLoadPDF",
            display_name="Qwen3-VL Load PDF",
            category=sockets.READING_CATEGORY,
            description="Gives the pages of a PDF as a list of images, or one by one to "
            "Qwen3-VL Document, which then holds a single page in memory.",
            search_aliases=search_words("Qwen3VLLoadPDF"),
            inputs=[
                io.Combo.Input(
                    "pdf_file",
                    options=pdf_menu(host().allowed_folders()),
                    tooltip="PDFs in ComfyUI's folders and in those that qwen3vl.toml lists.",
                ),
                io.String.Input(
                    "page_range",
                    default="",
                    tooltip="1-3, 7, 10- in this order. Empty: all pages.",
                ),
                io.Float.Input(
                    "dpi",
                    default=144.0,
                    min=18.0,
                    max=float(MAX_DPI),
                    step=1.0,
                    tooltip="Pixels an inch. The model sees at most about 2 megapixels of a page.",
                ),
                io.Int.Input(
                    "max_pages",
                    default=50,
                    min=0,
                    max=100_000,
                    tooltip="More pages than this are refused, not left out. 0: no limit.",
                ),
                io.Combo.Input(
                    "give",
                    options=[IMAGES, STREAM],
                    default=IMAGES,
                    tooltip="One by one: only the pages output is filled, for long documents.",
                ),
                io.String.Input(
                    "password",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="Of an encrypted file. It is saved with the workflow.",
                ),
                turned_input(),
            ],
            outputs=[
                io.Image.Output("images", display_name="images", is_output_list=True),
                sockets.Pages.Output("pages", display_name="pages"),
                io.String.Output("names", display_name="names", is_output_list=True),
                io.Int.Output("count", display_name="count"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, pdf_file: str | None = None) -> bool | str:
        """Any PDF in an allowed folder, also one that came since the menu was filled."""
        if pdf_file is None:  # linked; `execute` will look
            return True
        try:
            located(host().allowed_folders(), pdf_file)
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, pdf_file: str = "", **_: object) -> str | float:
        """What the file is now, so that a changed one is read again."""
        try:
            return stamp_of(*located(host().allowed_folders(), pdf_file)) or float("nan")
        except InputError:  # execute will say what is wrong
            return float("nan")

    @classmethod
    def execute(
        cls,
        pdf_file: str,
        page_range: str,
        dpi: float,
        max_pages: int,
        give: str,
        password: str = "",
        turned: str = "upright",
    ) -> io.NodeOutput:
        """The pages that were asked for, in the order in which they were named."""
        folder, name = located(host().allowed_folders(), pdf_file)
        # A scan that stands turned right is turned left, and so on.
        turn = (360 - TURNED.get(turned, 0)) % 360
        with opened(folder, name, password) as document:
            numbers = PageRange.parse(page_range).numbers(document.page_count)
            total = document.page_count
        if max_pages and len(numbers) > max_pages:
            raise InputError(
                f"{name} has {total} pages, of which {len(numbers)} are asked for, more than "
                f"max_pages {max_pages}.",
                "Name fewer in page_range, or raise max_pages.",
            )
        pages = PdfPages(folder, name, tuple(numbers), dpi, turn, password)
        images = [host().nothing()]
        if give == IMAGES:
            bar = host().progress_bar(len(pages), node_id_of(cls))
            images = []
            for picture in pages.pictures():
                host().check_interrupt()
                images.append(image_from_pictures([picture]))
                bar.show(len(images))
        how = f"{len(pages)} of {total} pages of {name} at {dpi:g} dpi, {give}"
        return io.NodeOutput(images, pages, pages.labels, len(pages), how, ui={"text": [how]})
