"""Pages of a PDF as pictures, one at a time, through pypdfium2 (I/O: the file is given open)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError
from ..images.picture import Picture

POINTS_PER_INCH = 72
MAX_PDF_BYTES = 2_000_000_000
# One page as RGB: 300 MB. A0 at 100 dpi has 15 million.
MAX_PAGE_PIXELS = 100_000_000
TURNS = (0, 90, 180, 270)
# PDFium keeps its state in globals: one thread at a time, in the whole process.
_PDFIUM = threading.RLock()


@dataclass(frozen=True, slots=True)
class PageRange:
    """Which pages, counted from 1, in the order written: `1-3, 7, 10-`; empty is all."""

    parts: tuple[tuple[int, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> PageRange:
        """From what a user writes.

        Raises:
            InputError: not page numbers, or a range that runs backwards.
        """
        parts: list[tuple[int, int | None]] = []
        for piece in text.replace(";", ",").replace("\u2013", "-").split(","):
            word = piece.strip()
            if not word:
                continue
            first, dash, last = (part.strip() for part in word.partition("-"))
            ok = all(not part or (part.isdecimal() and len(part) < 8) for part in (first, last))
            ok = ok and bool(first or last)
            start = int(first) if ok and first else 1
            end = int(last) if ok and last else None
            end = end if dash else start
            if not ok or start < 1 or (end is not None and end < start):
                raise InputError(
                    f"{word[:40]!r} is no range of pages.", "Write e.g. 1-3, 7, 10-; or nothing."
                )
            parts.append((start, end))
        return cls(tuple(parts))

    def numbers(self, count: int) -> list[int]:
        """The page numbers of a document of `count` pages, each once.

        Raises:
            InputError: a page that the document does not have.
        """
        if not self.parts:
            return list(range(1, count + 1))
        chosen: dict[int, None] = {}
        for start, end in self.parts:
            last = count if end is None else end
            if max(start, last) > count:
                raise InputError(
                    f"The document has {count} pages, there is no page {max(start, last)}.",
                    f"Write numbers from 1 to {count}.",
                )
            chosen.update(dict.fromkeys(range(start, last + 1)))
        return list(chosen)


class PdfFile:
    """An open document; pages are drawn when they are asked for, and nothing is kept.

    Use `open_pdf`.
    """

    def __init__(self, document: Any, name: str):
        self._document = document
        self.name = name
        with _PDFIUM:
            self.page_count = len(document)

    def page(self, number: int, dpi: float = 144.0, turn: int = 0) -> Picture:
        """One page, counted from 1, as its own rotation says it is read, forms filled in.

        Args:
            dpi: pixels an inch; a page that would have more than 100 megapixels gets fewer.
            turn: degrees clockwise beyond that, for pages that were scanned turned.

        Raises:
            InputError: there is no such page, or it cannot be drawn.
        """
        if not 1 <= number <= self.page_count:
            raise InputError(
                f"{self.name} has no page {number}.", f"It has pages 1 to {self.page_count}."
            )
        if turn not in TURNS:
            raise InputError(f"A page is turned by {turn} degrees.", "Use 0, 90, 180 or 270.")
        with _PDFIUM:
            return Picture(self._draw(number, dpi, turn))

    def pages(self, numbers: list[int], dpi: float = 144.0, turn: int = 0) -> Iterator[Picture]:
        """The pages of these numbers, drawn one by one as they are taken."""
        return (self.page(number, dpi, turn) for number in numbers)

    def _draw(self, number: int, dpi: float, turn: int) -> np.ndarray:
        import pypdfium2

        page = bitmap = None
        try:
            page = self._document[number - 1]
            width, height = page.get_size()
            scale = dpi / POINTS_PER_INCH
            pixels = max(1.0, width) * max(1.0, height) * scale * scale
            if not (width > 0 and height > 0):
                raise InputError(
                    f"Page {number} of {self.name} is {width:g} x {height:g} points large.",
                    "Leave this page out.",
                )
            if pixels > MAX_PAGE_PIXELS:
                scale *= (MAX_PAGE_PIXELS / pixels) ** 0.5 * 0.999
            bitmap = page.render(scale=scale, rotation=turn, rev_byteorder=True, prefer_bgrx=False)
            return _rgb(bitmap.to_numpy())
        except pypdfium2.PdfiumError as error:
            raise InputError(
                f"Page {number} of {self.name} cannot be drawn: {error}.",
                "The file is damaged there: leave this page out, or repair the file.",
            ) from None
        finally:
            if bitmap is not None:
                bitmap.close()
            if page is not None:
                page.close()


@contextmanager
def open_pdf(file: BinaryIO, name: str, password: str = "") -> Iterator[PdfFile]:
    """The document in an open binary file, which stays the caller's to close.

    Args:
        name: for messages.
        password: of the owner or the user; not stored anywhere.

    Raises:
        InputError: no PDF, a damaged one, one that wants another password, or no pypdfium2.
    """
    pypdfium2 = _package()
    size = file.seek(0, 2)
    start = _head(file)
    if size > MAX_PDF_BYTES:
        raise InputError(f"{name} has {size} bytes, more than 2 GB.", "Split it.")
    if b"%PDF-" not in start:
        raise InputError(f"{name} is no PDF: it has no %PDF- at its beginning.", "Choose a PDF.")
    try:
        with _PDFIUM:
            document = pypdfium2.PdfDocument(file, password=password or None, autoclose=False)
    except pypdfium2.PdfiumError as error:
        raise _not_opened(name, error, password) from None
    try:
        with _PDFIUM:
            _with_forms(document)
        yield PdfFile(document, name)
    finally:
        with _PDFIUM:
            document.close()


def _with_forms(document: Any) -> None:
    """What is filled into the document's form shows on its pages."""
    if document.get_formtype():
        document.init_forms()


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    start = file.read(1024)
    file.seek(0)
    return start


def _not_opened(name: str, error: Exception, password: str) -> InputError:
    words = str(error).lower()
    if "password" in words:
        problem = f"{name} is encrypted" + (", and the password is wrong." if password else ".")
        return InputError(problem, "Give its password.")
    return InputError(
        f"{name} cannot be opened as PDF: {error}.", "The file is damaged: repair it, or leave it."
    )


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """A copy as uint8 [height, width, 3] of what PDFium drew in 1, 3 or 4 channels."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    return np.array(pixels[..., :3], dtype=np.uint8, order="C", copy=True)


def _package() -> Any:
    try:
        import pypdfium2
    except ImportError:
        raise InputError(
            "PDFs are read with the package pypdfium2, which is not installed.",
            "pip install pypdfium2",
        ) from None
    return pypdfium2
