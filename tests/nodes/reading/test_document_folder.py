"""Document Folder: a text beside each document, stopped and resumed, with its ledger."""

import json

import folder_paths
import pytest
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.nodes.reading.document_folder import Qwen3VLDocumentFolder
from qwen3vl_nodes.utils.documents.pdf_file import PdfFile
from qwen3vl_nodes.utils.errors import InputError
from scripted_model import ScriptedModel
from support.pdf_files import encrypted, picture_pdf

FOLDER = {
    "folder": "input/docs", "recursive": False, "write": "Markdown", "seed": 0,
    "mode": "skip existing", "place": "beside the picture",
}  # fmt: skip


@pytest.fixture
def docs(comfy, monkeypatch):
    """Two documents of two pages and a scan, one broken and one encrypted file."""
    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()
    place = comfy / "input" / "docs"
    place.mkdir()
    for n in range(2):
        pages = [Image.new("RGB", (100 + 40 * n, 120 + p), (40 * p, 200, 0)) for p in range(2)]
        (place / f"d{n}.pdf").write_bytes(picture_pdf(pages))
    Image.new("RGB", (90, 90), (9, 9, 99)).save(place / "d0.png")
    (place / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (place / "locked.pdf").write_bytes(encrypted("secret"))
    return place


def answer_by_size(_, request):
    """Names the page that was asked about."""
    width, height = request.messages[-1].parts[0].size_wh
    return f"# Page {width} x {height}"


def run(model, **inputs):
    return run_node(Qwen3VLDocumentFolder, model=model, **(FOLDER | {"dpi": 72.0} | inputs)).args[0]


def test_every_document_gets_its_text_and_every_other_its_line(docs):
    ledger = run(ScriptedModel(answer_by_size))
    assert (docs / "d0.pdf.md").read_text() == (
        "# Page 100 x 120\n\n<!-- page 2 -->\n\n# Page 100 x 121"
    )
    assert (docs / "d1.pdf.md").read_text().startswith("# Page 140 x 120")
    assert (docs / "d0.png.md").read_text() == "# Page 90 x 90"
    assert ledger.endswith("written 3, skipped 0, failed 2")
    assert "broken.pdf" in ledger and "locked.pdf is encrypted" in ledger


def test_a_second_run_writes_nothing_and_asks_nothing(docs):
    run(ScriptedModel(answer_by_size))
    model = ScriptedModel(answer_by_size)
    assert run(model).endswith("written 0, skipped 3, failed 2")
    assert model.requests == []


def test_a_password_opens_the_locked_one(docs):
    ledger = run(ScriptedModel(answer_by_size), password="secret")
    assert ledger.endswith("written 4, skipped 0, failed 1")
    assert (docs / "locked.pdf.md").exists()


def test_a_stop_leaves_whole_texts_and_the_next_run_goes_on(docs):
    class StopError(Exception):
        pass

    def stopping(number, request):
        if number == 3:  # in the middle of the second document
            raise StopError
        return answer_by_size(number, request)

    with pytest.raises(StopError):
        run(ScriptedModel(stopping))
    texts = {path.name: path.read_text() for path in docs.glob("*.md")}
    assert texts
    assert not any("140 x 120" in text for text in texts.values())
    again = ScriptedModel(answer_by_size)
    run(again)
    for name, text in texts.items():
        assert (docs / name).read_text() == text
    assert len(list(docs.glob("*.md"))) == 3
    assert len(again.requests) < 5


def test_a_page_that_cannot_be_read_fails_the_document_alone(docs, monkeypatch):
    draw = PdfFile._draw

    def drawn(self, number, *rest):
        if self.name == "d1.pdf" and number == 2:
            raise InputError("Page 2 of d1.pdf cannot be drawn.", "Repair it.")
        return draw(self, number, *rest)

    monkeypatch.setattr(PdfFile, "_draw", drawn)
    ledger = run(ScriptedModel(answer_by_size))
    assert ledger.endswith("written 2, skipped 0, failed 3")
    assert "Page 2 of 2: Page 2 of d1.pdf cannot be drawn." in ledger
    assert not (docs / "d1.pdf.md").exists()


def test_an_answer_that_is_no_page_is_asked_for_once_more(docs):
    seen = set()

    def answer(number, request):
        size_wh = request.messages[-1].parts[0].size_wh
        if size_wh in seen:
            return "<html><body><p>ok</p></body></html>"
        seen.add(size_wh)
        return "<html><body>" + "<div>" * 100

    model = ScriptedModel(answer)
    assert run(model, write="HTML", format="html").endswith("written 3, skipped 0, failed 2")
    assert len(model.requests) == 2 * 5
    assert "<p>ok</p>" in (docs / "d0.png.html").read_text()


def test_the_format_says_what_is_written(docs):
    run(ScriptedModel(answer_by_size), format="json")
    told = json.loads((docs / "d0.pdf.json").read_text())
    assert told["caption"].startswith("# Page 100 x 120")
    assert told["prompt"] == "qwenvl markdown"
    html = '<html><body><p data-bbox="1 2 30 40">x</p></body></html>'
    run(ScriptedModel(html), format="html", write="HTML")
    assert (docs / "d0.png.html").read_text() == "<p>x</p>"


def test_a_text_that_somebody_edited_is_not_touched(docs):
    run(ScriptedModel(answer_by_size))
    (docs / "d0.pdf.md").write_text("mine")
    run(ScriptedModel(answer_by_size), mode="overwrite own", seed=5)
    assert (docs / "d0.pdf.md").read_text() == "mine"
    assert "Page 140" in (docs / "d1.pdf.md").read_text()


def test_a_dry_run_reads_and_writes_nothing(docs):
    model = ScriptedModel(answer_by_size)
    ledger = run(model, dry_run=True)
    assert model.requests == []
    assert not list(docs.glob("*.md"))
    assert "broken.pdf" in ledger


def test_only_one_document_is_held_at_a_time(docs, monkeypatch):
    for n in range(2, 10):
        pages = [Image.new("RGB", (60, 60 + n), (n, 200, 0))]
        (docs / f"d{n}.pdf").write_bytes(picture_pdf(pages))
    from qwen3vl_nodes.utils.dataset import document_kinds

    held, most = 0, 0
    opened = document_kinds.open_pdf

    from contextlib import contextmanager

    @contextmanager
    def counted(*args):
        nonlocal held, most
        with opened(*args) as document:
            held += 1
            most = max(most, held)
            yield document
            held -= 1

    monkeypatch.setattr(document_kinds, "open_pdf", counted)
    run(ScriptedModel(answer_by_size))
    assert held == 0
    assert most <= document_kinds.DOCUMENTS_AHEAD + 2


def test_other_folders_are_refused(docs):
    assert Qwen3VLDocumentFolder.validate_inputs(folder="/etc") is not True
    with pytest.raises(InputError):
        run(ScriptedModel("x"), folder="../x")
