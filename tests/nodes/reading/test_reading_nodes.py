"""Read Text, Document, Load PDF, Extract, Pick Field and Code with scripted answers."""

import json

import folder_paths
import numpy as np
import pytest
import torch
from node_running import run_node
from PIL import Image
from qwen3vl_nodes.nodes.reading.code import Qwen3VLCode
from qwen3vl_nodes.nodes.reading.document import Qwen3VLDocument
from qwen3vl_nodes.nodes.reading.extract import Qwen3VLExtract
from qwen3vl_nodes.nodes.reading.pdf import Qwen3VLLoadPDF
from qwen3vl_nodes.nodes.reading.pick_field import Qwen3VLPickField
from qwen3vl_nodes.nodes.reading.read_text import LANGUAGES, Qwen3VLReadText
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.errors import InputError, ParseError
from scripted_model import ScriptedModel
from support.pdf_files import picture_pdf

STOP, LEAVE_EMPTY = "stop with an error", "leave the image empty"
LINES = '```json\n[\n\t{"bbox_2d": [100, 200, 300, 400], "text_content": "EXIT"}\n]\n```'
READ = {
    "read": "plain text", "language": "automatic", "overlay_style": "text on its place",
    "seed": 0, "unreadable": STOP,
}  # fmt: skip
EXTRACT = {"fields": "company, total (number)", "with_boxes": False, "invalid": STOP, "seed": 0}
CODE = {
    "language": "HTML", "instructions": "", "batch": "one answer per image", "invalid": STOP,
    "seed": 0, "save": False, "file_name": "code",
}  # fmt: skip
PDF = {"page_range": "", "dpi": 72.0, "max_pages": 50, "give": "images"}


@pytest.fixture(autouse=True)
def temp_folder(comfy, monkeypatch):
    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(comfy / "temp"))
    (comfy / "temp").mkdir()


def read(model, image, **inputs):
    return run_node(Qwen3VLReadText, model=model, image=image, **(READ | inputs))


def document(model, image=(), pages=(), write="Markdown", pages_as="page by page", unreadable=STOP,
             options=None):  # fmt: skip
    return run_node(
        Qwen3VLDocument, model=[model], write=[write], pages_as=[pages_as], seed=[0],
        unreadable=[unreadable], image=list(image), pages=list(pages), options=[options],
    )  # fmt: skip


# --- Read Text ---


def test_plain_text_is_what_the_model_wrote(images):
    model = ScriptedModel(lambda n, _: f"line {n}\nmore")
    texts, boxes, overlay, count, report = read(model, images(2)).args
    assert texts == ["line 0\nmore", "line 1\nmore"]
    assert boxes == [[], []]
    assert count == [0, 0]
    assert overlay.shape[0] == 2
    assert "10 tokens" in report
    assert model.prompt_of(0).startswith("Please output only the text content")


@pytest.mark.parametrize(("mode", "word"), [("lines with boxes", "line-level"),
                                            ("words with boxes", "word-level")])  # fmt: skip
def test_spotting_gives_boxes_labelled_by_their_text(images, mode, word):
    model = ScriptedModel(LINES)
    out = read(model, images(1, 50, 100), read=mode)
    texts, boxes, *_ = out.args
    assert texts == ["EXIT"]
    assert boxes == [[{"x": 10, "y": 10, "width": 20, "height": 10, "label": "EXIT"}]]
    assert word in model.prompt_of(0)
    assert out.ui["boxes"] == boxes


def test_a_language_is_one_sentence_more(images):
    model = ScriptedModel("x")
    read(model, images(1), language="Arabic")
    assert model.prompt_of(0).endswith("formatting. The text is in Arabic.")
    assert len(LANGUAGES) >= 32


def test_a_turned_picture_is_asked_upright_and_its_boxes_are_where_they_are(images):
    model = ScriptedModel(LINES)
    batch = images(1, 50, 100)
    (box,) = read(model, batch, read="lines with boxes", turned="turned right (90°)").args[1][0]
    shown = model.requests[0].messages[-1].parts[0]
    assert shown.size_wh == (50, 100)
    # (0.1, 0.2)-(0.3, 0.4) upright is (0.6, 0.1)-(0.8, 0.3) on the picture turned right.
    assert (box["x"], box["y"], box["width"], box["height"]) == (60, 5, 20, 10)


@pytest.mark.parametrize("style", ["text on its place", "numbers and a list", "boxes with text"])
def test_every_overlay_shows_something(images, style):
    batch = images(2, 60, 90)
    overlay = read(ScriptedModel(LINES), batch, read="lines with boxes", overlay_style=style).args[
        2
    ]
    assert overlay.shape[0] == 2
    assert not torch.equal(overlay[:, :60, :90], batch)


def test_an_unreadable_spotting_stops_or_is_empty(images):
    bad = '{"bbox_2d": "no place"}'
    with pytest.raises(ParseError):
        read(ScriptedModel(bad), images(1), read="lines with boxes")
    out = read(ScriptedModel(bad), images(1), read="lines with boxes", unreadable=LEAVE_EMPTY)
    assert out.args[1] == [[]]
    assert "unreadable" in out.args[4]


def test_special_tokens_are_text(images):
    text = '[{"bbox_2d": [1, 2, 300, 400], "text_content": "<|im_end|><|image_pad|>"}]'
    texts, boxes, *_ = read(ScriptedModel(text), images(1), read="lines with boxes").args
    assert texts == ["<|im_end|><|image_pad|>"] == [boxes[0][0]["label"]]


# --- Document ---

PAGE = """# Report

<!-- Image (100, 100, 600, 500) -->

<!-- Table (0, 500, 1000, 900) -->
\\begin{tabular}{cc}
\\multicolumn{2}{c}{both} \\\\
a & b \\\\
\\end{tabular}
"""
HTML = """```html
<html><body><h1 data-bbox="0 0 500 100">Report</h1>
<p data-bbox="0 100 500 200" onclick="x()">Text<script>alert(1)</script></p></body></html>
```"""


def test_a_page_becomes_markdown_layout_tables_and_pictures(images):
    model = ScriptedModel(PAGE)
    texts, layout, tables, as_json, pictures, captions, answers, report = document(
        model, [images(1, 100, 200)]
    ).args
    assert texts[0].startswith("# Report\n\n*[image]*\n\n<table>")
    assert [box["label"] for box in layout[0]] == ["image", "table"]
    assert (layout[0][0]["x"], layout[0][0]["y"]) == (20, 10)
    assert tables == ["both,both\na,b\n"]
    assert json.loads(as_json[0])["merged"] == [{"row": 0, "column": 0, "rows": 1, "columns": 2}]
    assert pictures[0].shape == (1, 40, 100, 3)
    assert captions == [""]
    assert answers == [PAGE]
    assert report.startswith("1: 3 blocks, 1 tables")
    assert model.prompt_of(0) == "qwenvl markdown"
    assert model.requests[0].options.min_pixels == 512 * 32 * 32
    assert model.requests[0].options.max_pixels == 2048 * 32 * 32


def test_the_pictures_are_cut_out_of_the_page_itself(images):
    batch = images(1, 100, 200)
    picture = document(ScriptedModel(PAGE), [batch]).args[4][0]
    assert torch.allclose(picture[0], batch[0, 10:50, 20:120], atol=1 / 250)


@pytest.mark.parametrize(
    ("write", "start"), [("HTML", "<h1>Report</h1>"), ("Markdown, by way of HTML", "# Report")]
)
def test_html_is_asked_for_and_written_clean(images, write, start):
    model = ScriptedModel(HTML)
    out = document(model, [images(1)], write=write).args
    assert model.prompt_of(0) == "qwenvl html"
    assert out[0][0].startswith(start)
    assert "script" not in out[0][0] and "data-bbox" not in out[0][0] and "onclick" not in out[0][0]
    assert [box["label"] for box in out[1][0]] == ["title", "paragraph"]


def test_pages_of_other_sizes_come_as_a_list(images):
    model = ScriptedModel(lambda n, _: f"page {n}")
    out = document(model, [images(1, 64, 96), images(2, 96, 64)])
    assert out.args[0] == ["page 0", "page 1", "page 2"]
    assert len(out.args[1]) == 3
    assert [r.seed for r in model.requests] == [0, 1, 2]


def test_all_pages_in_one_answer_are_told_apart_by_marks(images):
    model = ScriptedModel(
        "<!-- Page 1 -->\n# A\n\n<!-- Page 2 -->\n<!-- Image (0, 0, 500, 500) -->"
    )
    out = document(model, [images(2)], pages_as="all pages in one answer").args
    assert out[0] == ["# A\n\n*[image]*"]
    assert [[b["label"] for b in page] for page in out[1]] == [[], ["image"]]
    assert len(model.requests) == 1
    assert model.prompt_of(0).startswith("qwenvl markdown\nBegin each page with")


def test_all_pages_without_marks_keep_the_text_and_say_what_is_left_out(images):
    model = ScriptedModel("# A\n\n<!-- Image (0, 0, 500, 500) -->\n\nB")
    out = document(model, [images(2)], pages_as="all pages in one answer").args
    assert out[0] == ["# A\n\n*[image]*\n\nB"]
    assert out[1] == [[], []]
    assert "page marks" in out[7]


def test_an_answer_that_was_cut_off_says_so(images):
    model = ScriptedModel("# A\n\ntext", stopped_by="length")
    report = document(model, [images(1)]).args[7]
    assert "cut off" in report.splitlines()[0]


def test_an_empty_answer_stops_or_leaves_the_page_empty(images):
    with pytest.raises(ParseError, match="Answer 1 of 1"):
        document(ScriptedModel(""), [images(1)])
    out = document(ScriptedModel(""), [images(1)], unreadable=LEAVE_EMPTY).args
    assert out[0] == [""]
    assert "unreadable" in out[7]


def test_no_page_is_refused():
    with pytest.raises(InputError, match="no page"):
        document(ScriptedModel("x"))


# --- Load PDF ---


@pytest.fixture
def pdf(comfy):
    pages = [Image.new("RGB", (100 + 20 * n, 80), (10 * n, 200, 0)) for n in range(5)]
    (comfy / "input" / "a.pdf").write_bytes(picture_pdf(pages))
    return "input/a.pdf"


def test_pages_are_images_of_their_own_size(pdf):
    images, pages, names, count, report = run_node(
        Qwen3VLLoadPDF, pdf_file=pdf, **(PDF | {"page_range": "2-3"})
    ).args
    assert [tuple(image.shape) for image in images] == [(1, 80, 120, 3), (1, 80, 140, 3)]
    assert len(pages) == count == 2
    assert names == ["a.pdf page 2", "a.pdf page 3"]
    assert report.startswith("2 of 5 pages of a.pdf")


def test_a_page_that_lies_on_its_side_is_given_upright(pdf):
    (image,), *_ = run_node(
        Qwen3VLLoadPDF, pdf_file=pdf, **(PDF | {"page_range": "1"}), turned="turned left (90°)"
    ).args
    assert tuple(image.shape) == (1, 100, 80, 3)


def test_too_many_pages_are_refused_and_not_cut(pdf):
    with pytest.raises(InputError, match="max_pages 4"):
        run_node(Qwen3VLLoadPDF, pdf_file=pdf, **(PDF | {"max_pages": 4}))


def test_pages_stream_into_document_one_at_a_time(pdf, monkeypatch):
    from qwen3vl_nodes.utils.documents.pdf_file import PdfFile

    drawn = []
    draw = PdfFile._draw
    monkeypatch.setattr(PdfFile, "_draw", lambda self, n, *r: drawn.append(n) or draw(self, n, *r))
    pages = run_node(Qwen3VLLoadPDF, pdf_file=pdf, **(PDF | {"give": "pages one by one"})).args[1]
    assert drawn == []
    model = ScriptedModel(lambda n, _: f"page {n} of {drawn}")
    texts = document(model, pages=[pages]).args[0]
    # Each page was drawn when it was asked about, and not before.
    assert texts[0] == "page 0 of \\[1\\]" or texts[0].startswith("page 0 of [1]")
    assert len(texts) == 5


@pytest.mark.parametrize(
    "file", ["input/none.pdf", "/etc/passwd", "input/../x.pdf", "secret/a.pdf"]
)
def test_other_files_are_refused(comfy, file):
    with pytest.raises(InputError):
        run_node(Qwen3VLLoadPDF, pdf_file=file, **PDF)


@pytest.mark.parametrize("file", ["/etc/passwd", "input/../x.pdf", "secret/a.pdf", "input/a.txt"])
def test_the_server_refuses_them_before_a_run(comfy, file):
    assert Qwen3VLLoadPDF.validate_inputs(pdf_file=file) is not True


def test_a_new_pdf_is_as_good_as_one_of_the_menu(pdf):
    assert Qwen3VLLoadPDF.validate_inputs(pdf_file=pdf) is True
    first = Qwen3VLLoadPDF.fingerprint_inputs(pdf_file=pdf)
    assert first == Qwen3VLLoadPDF.fingerprint_inputs(pdf_file=pdf)
    assert Qwen3VLLoadPDF.fingerprint_inputs(pdf_file="input/gone.pdf") != first


# --- Extract and Pick Field ---

GOOD = '```json\n{"company": "A", "total": "12.50"}\n```'


def extract(model, image, **inputs):
    return run_node(Qwen3VLExtract, model=model, image=image, **(EXTRACT | inputs))


def test_fields_come_as_checked_json(images):
    model = ScriptedModel(GOOD)
    texts, valid, boxes, overlay, table, report = extract(model, images(2)).args
    assert [json.loads(text) for text in texts] == [{"company": "A", "total": 12.5}] * 2
    assert valid == [True, True]
    assert boxes == [[], []]
    assert table == "company,total\nA,12.5\nA,12.5\n"
    assert "taken as 12.5" in report
    assert model.prompt_of(0) == (
        'Extract the key-value information in the format: {"company": "", "total": 0}'
    )


def test_a_schema_goes_along_for_servers_that_can_keep_to_it(images):
    model = ScriptedModel(GOOD)
    extract(model, images(1), options=GenerationOptions(temperature=0.0))
    options = model.requests[0].options
    assert json.loads(options.json_schema)["required"] == ["company", "total"]
    assert options.temperature == 0.0


def test_an_answer_that_does_not_fit_is_asked_for_once_more(images):
    answers = ["no idea", GOOD, '{"company": 5, "total": 1}', GOOD]
    model = ScriptedModel(lambda n, _: answers[len(model.requests) - 1])
    answers[:] = ["no idea", GOOD]
    texts, valid, *_, report = extract(model, images(1)).args
    assert valid == [True]
    assert json.loads(texts[0])["company"] == "A"
    first, second = model.requests
    assert [m.role for m in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1].parts == ("no idea",)
    assert "the answer holds no JSON" in second.messages[2].parts[0]
    assert second.seed == first.seed + 1
    assert "asked twice" in report


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ('{"company": "A"}', "I cannot.", {"company": "A"}),
        ('{"company": "A"}', '{"label": "red"}', {"company": "A"}),
        ('{"company": "A"}', '{"company": "B"}', {"company": "B"}),
        ("nothing", '{"company": "B"}', {"company": "B"}),
        ("nothing", "nothing", None),
    ],
)
def test_a_second_answer_that_is_worse_does_not_count(images, first, second, kept):
    """A model that cannot mend its answer may well write anything; what it read stays read."""
    model = ScriptedModel(lambda _, request: second if len(request.messages) > 1 else first)
    out = extract(model, images(1), invalid="go on, valid = False").args
    assert json.loads(out[0][0]) == kept
    assert out[1] == [False]
    assert "not valid, asked twice" in out[5]


def test_only_the_wrong_ones_are_asked_again(images):
    def answer(_, request):
        again = len(request.messages) > 1
        return GOOD if request.seed == 0 or again else '{"company": "A"}'

    model = ScriptedModel(answer)
    out = extract(model, images(3)).args
    assert out[1] == [True] * 3
    assert len(model.requests) == 5


def test_what_still_does_not_fit_is_an_error_or_false(images):
    bad = '{"company": 5, "total": "x"}'
    with pytest.raises(ParseError, match="Image 1 of 1.*also when asked again"):
        extract(ScriptedModel(bad), images(1))
    out = extract(ScriptedModel(bad), images(1), invalid="go on, valid = False").args
    assert out[1] == [False]
    assert json.loads(out[0][0]) == {"company": 5, "total": "x"}
    assert "not valid, asked twice" in out[5]


def test_places_of_the_values_are_boxes(images):
    answer = json.dumps(
        {"company": {"value": "A", "bbox_2d": [0, 0, 500, 500]}, "total": {"value": 3}}
    )
    texts, valid, boxes, *_ = extract(
        ScriptedModel(answer), images(1, 100, 200), with_boxes=True
    ).args
    assert json.loads(texts[0]) == {"company": "A", "total": 3}
    assert valid == [True]
    assert boxes == [
        [{"x": 0, "y": 0, "width": 100, "height": 50, "label": "company", "text": "A"}]
    ]


def test_a_row_for_each_picture_is_saved_and_never_over_another(comfy, images):
    for number in (1, 2):
        extract(
            ScriptedModel(GOOD), images(2), save="CSV and JSONL", file_name="runs/march",
            names="a.png\nb.png",
        )  # fmt: skip
        folder = comfy / "output" / "extracted" / "runs"
        table = (folder / f"march_{number:05d}.csv").read_text("utf-8")
        assert table == "file,company,total\na.png,A,12.5\nb.png,A,12.5\n"
        lines = (folder / f"march_{number:05d}.jsonl").read_text("utf-8").splitlines()
        assert json.loads(lines[1]) == {
            "file": "b.png", "valid": True, "value": {"company": "A", "total": 12.5},
        }  # fmt: skip
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "~/x", "a\0b", "C:\\x"])
def test_names_that_lead_elsewhere_are_refused(comfy, images, name):
    with pytest.raises(InputError):
        extract(ScriptedModel(GOOD), images(1), save="CSV", file_name=name)
    assert not list((comfy / "output").rglob("*.csv"))


def pick(text, path, missing="stop with an error"):
    return run_node(Qwen3VLPickField, json=text, path=path, missing=missing).args


def test_one_value_is_picked():
    text = '{"seller": {"name": "A"}, "items": [{"price": 3.5}], "none": null}'
    assert pick(text, "seller.name") == ("A", 0.0, True)
    assert pick(text, "items[0].price") == ("3.5", 3.5, True)
    assert pick(text, "items") == ('[{"price": 3.5}]', 0.0, True)
    assert pick(text, "none") == ("", 0.0, True)
    assert pick(text, "gone", "empty text") == ("", 0.0, False)
    with pytest.raises(InputError, match="gone"):
        pick(text, "gone")
    with pytest.raises(ParseError, match="not JSON"):
        pick("{", "x")


# --- Code ---

WEB = "```html\n<html><body>x</body></html>\n```"


def code(model, image, **inputs):
    return run_node(Qwen3VLCode, model=model, image=image, **(CODE | inputs))


def test_code_comes_out_of_its_fence(images):
    model = ScriptedModel(WEB)
    codes, valid, files, thinking, report = code(
        model, images(2), instructions="Use no script."
    ).args
    assert codes == ["<html><body>x</body></html>\n"] * 2
    assert valid == [True, True]
    assert files == ["", ""]
    assert "parses" in report
    assert model.prompt_of(0).endswith("modern HTML code. Use no script.")


@pytest.mark.parametrize(
    ("language", "answer", "suffix"),
    [
        ("HTML", WEB, ".html"),
        ("Draw.io", "```xml\n<mxfile/>\n```", ".drawio"),
        ("SVG", "```svg\n<svg/>\n```", ".svg"),
        ("Mermaid", "```mermaid\ngraph TD\nA-->B\n```", ".mmd"),
        ("matplotlib", "```python\nimport sys\n```", ".py"),
    ],
)
def test_every_language_is_saved_on_request(comfy, images, language, answer, suffix):
    out = code(ScriptedModel(answer), images(1), language=language, save=True).args
    (file,) = out[2]
    assert file == f"output/code/code_00001{suffix}"
    assert (comfy / file).read_text("utf-8") == out[0][0]


def test_code_that_does_not_parse_is_an_error_or_false_and_never_saved(comfy, images):
    bad = "```svg\n<svg><g></svg>\n```"
    with pytest.raises(ParseError, match="mismatched"):
        code(ScriptedModel(bad), images(1), language="SVG", save=True)
    out = code(
        ScriptedModel(bad), images(1), language="SVG", save=True, invalid="go on, valid = False"
    ).args
    assert out[1] == [False] and out[2] == [""]
    assert not list((comfy / "output").rglob("*.svg"))


def test_a_cut_off_answer_is_no_whole_code(images):
    model = ScriptedModel("```html\n<p>x</p>", stopped_by="length")
    with pytest.raises(ParseError, match="cut off"):
        code(model, images(1))


def test_an_answer_without_code(images):
    with pytest.raises(ParseError, match="Answer 1 of 1: The answer holds no html code"):
        code(ScriptedModel("I cannot."), images(1))
    out = code(ScriptedModel("I cannot."), images(1), invalid="go on, valid = False").args
    assert out[0] == [""] and out[1] == [False]


def test_all_pictures_may_be_one_question(images):
    model = ScriptedModel(WEB)
    assert len(code(model, images(3), batch="one answer about all images").args[0]) == 1
    assert len(model.requests) == 1


def test_the_menu_is_found_by_the_words_that_people_type():
    words = {
        "ocr", "read text", "text recognition", "pdf", "table", "invoice", "receipt", "form",
        "文字识别", "表格", "发票",
    }  # fmt: skip
    aliases = set()
    for node in (Qwen3VLReadText, Qwen3VLDocument, Qwen3VLLoadPDF, Qwen3VLExtract, Qwen3VLCode):
        aliases |= set(node.GET_SCHEMA().search_aliases)
    assert words <= aliases


def test_images_of_a_grey_page_are_read(images):
    grey = torch.from_numpy(np.zeros((1, 64, 64, 1), np.float32))
    assert read(ScriptedModel("x"), grey).args[0] == ["x"]
