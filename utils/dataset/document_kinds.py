"""Documents as a folder run reads them: PDFs page by page and scans, each into one text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import BinaryIO

from ..captions.recipe import Recipe
from ..captions.wording import Wording
from ..chat.composition import MAX_SEED, requests_for
from ..chat.generation_options import OPTION_RANGES, GenerationOptions
from ..chat.requests import Reply, Request
from ..chat.tasks import Task
from ..documents.pdf_file import PdfFile, open_pdf
from ..errors import GenerationError, InputError, ParseError, Qwen3VLError
from ..files.fingerprint import DIGEST_BYTES, FileFacts, file_stamp
from ..files.picture_reader import read_file
from ..images.picture import Picture
from ..parsing.document_answer import AnswerForm, parse_document
from ..roots.allowed_folders import FolderFile
from ..roots.listing import PICTURE_ENDINGS
from ..roots.open_folder import NotOrdinaryError
from .medium import Medium, Subject

PDF_ENDINGS = (".pdf",)
# Documents are held open while they wait, so only few of them.
DOCUMENTS_AHEAD = 2
# Between two pages, in Markdown and in HTML: neither shows it.
PAGE_BREAK = "\n\n<!-- page {} -->\n\n"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class OpenPages:
    """A document that is open, or a scan: pages are drawn when they are asked for."""

    source: PdfFile | Picture
    dpi: float

    def page(self, number: int) -> Picture:
        """A page, counted from 0.

        Raises:
            InputError: it cannot be drawn.
        """
        if isinstance(self.source, Picture):
            return self.source
        return self.source.page(number + 1, self.dpi)


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """What is asked of each page, and the text that the pages' answers become."""

    recipe: Recipe
    task: Task
    form: AnswerForm
    written_as: AnswerForm
    seed: int
    options: GenerationOptions | None

    @classmethod
    def of(
        cls, model: str, task: Task, form: AnswerForm, written_as: AnswerForm,
        seed: int, options: GenerationOptions | None, dpi: float,
    ) -> DocumentKind:  # fmt: skip
        """With the recipe of what is chosen."""
        given = asdict(options) if options else {}
        facts = {
            "model": model,
            "prompt": task.fill(),
            "written_as": written_as,
            "options": {name: value for name, value in given.items() if value not in (None, ())},
            "dpi": dpi,
            "run_seed": seed,
        }
        return cls(Recipe("", Wording(), facts), task, form, written_as, seed, options)

    def request(self, media: OpenPages, part: int, seed: int, halvings: int = 0) -> Request:
        """The request for a page; with half its pixels for each halving."""
        (request,) = requests_for(
            [media.page(part)], self.task.fill(), options=self.options, task=self.task, seed=seed
        )
        if not halvings:
            return request
        most = request.options.max_pixels or int(OPTION_RANGES["max_pixels"][1])
        fewer = max(most >> halvings, int(OPTION_RANGES["max_pixels"][0]))
        return replace(request, options=replace(request.options, min_pixels=None, max_pixels=fewer))

    def seed_for(self, digest: bytes, attempt: int) -> int:
        """A file's own seed, by its content."""
        return (self.seed + attempt + int.from_bytes(digest[:8], "big")) & MAX_SEED

    def misfit(self, answer: str) -> InputError | None:
        """Why an answer is no page; it is then asked for once more."""
        try:
            self._text(answer)
        except ParseError as error:
            return InputError(error.problem, error.remedy)
        return None

    def answer(self, outcomes: Sequence[Reply | Qwen3VLError]) -> str:
        """The pages as one text, with a mark that nobody sees before each but the first.

        Raises:
            Qwen3VLError: a page has no good answer; half a document is none.
        """
        text = ""
        for number, outcome in enumerate(outcomes, 1):
            if isinstance(outcome, Qwen3VLError):
                if len(outcomes) == 1:
                    raise outcome
                problem = f"Page {number} of {len(outcomes)}: {outcome.problem}"
                raise GenerationError(problem, outcome.remedy) from outcome
            text += PAGE_BREAK.format(number) if number > 1 else ""
            text += self._text(outcome.text)
        return text

    def _text(self, answer: str) -> str:
        # The size does not matter: the places on the page are left out.
        layout = parse_document(answer, 1000, 1000, self.form)
        return layout.html if self.written_as == "html" and layout.html else layout.to_markdown()


def pdfs(kind: DocumentKind, dpi: float, password: str = "") -> Medium:
    """PDF files, each with one text for all its pages."""
    return Medium("PDF", PDF_ENDINGS, _pdf_reader(dpi, password), {"": kind}, DOCUMENTS_AHEAD)


def scans(kind: DocumentKind, dpi: float) -> Medium:
    """Pictures of single pages."""

    def read(file: FolderFile) -> Subject:
        found = read_file(file)
        return Subject(OpenPages(found.picture, dpi), found.facts, note=found.note)

    return Medium("scan", PICTURE_ENDINGS, read, {"": kind})


def _pdf_reader(dpi: float, password: str) -> Callable[[FolderFile], Subject]:
    def read(file: FolderFile) -> Subject:
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(file.open())
                facts = _facts(opened)
            except NotOrdinaryError:
                problem = f"{file.name} is no ordinary file."
                raise InputError(problem, "Put a PDF in its place.") from None
            except OSError as error:
                reason = error.strerror or type(error).__name__
                problem = f"{file.name} cannot be opened ({reason})."
                raise InputError(problem, "Check that it is there and readable.") from None
            document = stack.enter_context(open_pdf(opened, file.name, password))
            if not document.page_count:
                raise InputError(f"{file.name} has no page.", "Replace it by a sound PDF.")
            close = stack.pop_all().close
        return Subject(OpenPages(document, dpi), facts, parts=document.page_count, close=close)

    return read


def _facts(file: BinaryIO) -> FileFacts:
    """The digest of an open file, a piece at a time, and its stamp."""
    import os

    whole = hashlib.sha256()
    while piece := file.read(_PIECE):
        whole.update(piece)
    file.seek(0)
    return FileFacts(whole.digest()[:DIGEST_BYTES], file_stamp(os.fstat(file.fileno())))
