"""Every node, input and output has its words in both languages, and nothing is left over."""

import json
import re

import pytest
from qwen3vl_nodes.nodes import NODES
from qwen3vl_nodes.nodes.forms.search_words import search_words
from qwen3vl_pack import ROOT

LANGUAGES = ("en", "zh")
# What vue-i18n reads as syntax: a place holder, a plural, a link to another message.
SYNTAX = re.compile(r"[{}|@]")
INFO = {node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES}
by_language = pytest.mark.parametrize("language", LANGUAGES)
by_node = pytest.mark.parametrize("node_id", INFO)


def words_of(language, file="nodeDefs"):
    return json.loads((ROOT / "locales" / language / f"{file}.json").read_text("utf-8"))


def inputs_of(node_id):
    """Input name → its options in the node's schema."""
    kinds = INFO[node_id]["input"]
    specs = {**kinds.get("required", {}), **kinds.get("optional", {})}
    return {name: spec[1] if len(spec) > 1 else {} for name, spec in specs.items()}


def outputs_of(node_id):
    """Output number as text → its name and tooltip in the node's schema."""
    info = INFO[node_id]
    return {
        str(number): {"name": name, "tooltip": tooltip}
        for number, (name, tooltip) in enumerate(
            zip(info["output_name"], info["output_tooltips"], strict=True)
        )
    }


def texts_in(value):
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts_in(part)]
    return [value]


@by_language
def test_the_nodes_are_those_of_the_menu_in_its_order(language):
    assert list(words_of(language)) == list(INFO)


@by_language
@by_node
def test_a_node_has_words_for_all_it_shows(language, node_id):
    words = words_of(language)[node_id]
    assert set(words) == {"display_name", "description", "inputs", "outputs"}
    for place, names in (("inputs", inputs_of(node_id)), ("outputs", outputs_of(node_id))):
        # The front end looks a name with a dot up with an underscore.
        assert set(words[place]) == {name.replace(".", "_") for name in names}
        for entry in words[place].values():
            assert set(entry) == {"name", "tooltip"}
    assert all(isinstance(text, str) and text.strip() for text in texts_in(words))


@by_node
def test_english_says_what_the_schema_says(node_id):
    words, info = words_of("en")[node_id], INFO[node_id]
    assert words["display_name"] == info["display_name"]
    assert words["description"] == info["description"]
    for name, options in inputs_of(node_id).items():
        entry = words["inputs"][name.replace(".", "_")]
        assert entry["name"] == options.get("display_name", name)
        assert entry["tooltip"] == options.get("tooltip", entry["tooltip"])
    for number, output in outputs_of(node_id).items():
        entry = words["outputs"][number]
        assert entry["name"] == output["name"]
        assert entry["tooltip"] == (output["tooltip"] or entry["tooltip"])


@by_language
def test_no_text_is_read_as_syntax(language):
    assert [text for text in texts_in(words_of(language)) if SYNTAX.search(text)] == []


@by_language
def test_every_menu_category_has_a_name(language):
    categories = {part for info in INFO.values() for part in info["category"].split("/")}
    assert set(words_of(language, "main")["nodeCategories"]) == categories


@by_node
@pytest.mark.parametrize("page", ["{}.md", "{}/zh.md"])
def test_a_help_page_names_every_input_and_output(node_id, page):
    text = (ROOT / "web" / "docs" / page.format(node_id)).read_text("utf-8")
    names = {*inputs_of(node_id), *(output["name"] for output in outputs_of(node_id).values())}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_no_help_page_is_left_over():
    pages = (ROOT / "web" / "docs").rglob("*.md")
    known = {f"{node}.md" for node in INFO} | {f"{node}/zh.md" for node in INFO}
    assert {page.relative_to(ROOT / "web" / "docs").as_posix() for page in pages} == known


@by_node
def test_a_node_is_found_by_words_in_both_languages(node_id):
    words = search_words(node_id)
    assert len(words) == len({*words}) and all(word == word.strip() != "" for word in words)
    assert any(word.isascii() for word in words) and not all(word.isascii() for word in words)
    assert INFO[node_id]["search_aliases"] == words


@pytest.mark.parametrize(
    ("word", "node_id"),
    [
        *((word, "Qwen3VLCaption") for word in ("describe", "image to text", "vlm", "vision", "tag",
          "caption", "反推", "打标", "图生文", "识别", "提示词")),
        *((word, "Qwen3VLDetect") for word in ("detect", "grounding", "检测")),
        ("ocr", "Qwen3VLReadText"),
    ],
)  # fmt: skip
def test_what_people_type_finds_the_node(word, node_id):
    assert word in search_words(node_id)


# Names, formats and numbers, which are the same in Chinese.
SAME_IN_CHINESE = re.compile(
    r"[\W\d_]|(bf|fp)\d+|sdpa|flash_.*|eager|\d-bit|int\d|cuda:\d|mps|cpu|1M .*|Hugging Face|"
    r"ModelScope|Qwen.*|qwen|LTX-2|Flux|Krea 2|\.?(txt|json|jsonl|caption|tags|cap|md|html)|"
    r"a\..*txt|中文|\w+_\w+_\w+|Markdown|HTML|CSV|JSONL|Draw\.io|SVG|Mermaid|matplotlib"
)
FILLED_BY_THE_MACHINE = (
    "model",
    "adapter",
    "folder",
    "pdf_file",
    "server",
    "picture",
    "clip",
    "file",
)


def test_every_menu_entry_is_shown_in_chinese():
    script = (ROOT / "web" / "js" / "menu_words.js").read_text("utf-8")
    shown = {json.loads(key) for key in re.findall(r'^  ("[^\n]*?"): "', script, re.MULTILINE)}
    entries = {
        entry
        for node_id in INFO
        for name, options in inputs_of(node_id).items()
        if name not in FILLED_BY_THE_MACHINE
        for entry in options.get("options", ())
    }
    assert {one for one in entries - shown if not SAME_IN_CHINESE.fullmatch(one)} == set()
    assert shown - entries <= {"(none)"}


@by_node
@pytest.mark.parametrize(("page", "heading"), [("{}.md", "## Examples"), ("{}/zh.md", "## 示例")])
def test_a_help_page_has_three_examples(node_id, page, heading):
    text = (ROOT / "web" / "docs" / page.format(node_id)).read_text("utf-8")
    examples = text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^- ", examples, re.MULTILINE)) >= 3


def test_help_pages_have_their_small_pictures():
    folder = ROOT / "web" / "docs"
    pictures = {path.stem: path.read_bytes() for path in (folder / "images").glob("*.webp")}
    assert pictures.keys() <= INFO.keys()
    # A node that is new may be without for a while: examples/scripts/make_help_pictures.py.
    assert len(INFO.keys() - pictures.keys()) <= 3
    for node_id, content in pictures.items():
        assert content[:4] == b"RIFF" and content[8:12] == b"WEBP" and len(content) <= 30_000
        for page in (f"{node_id}.md", f"{node_id}/zh.md"):
            assert f"](images/{node_id}.webp)" in (folder / page).read_text("utf-8")
