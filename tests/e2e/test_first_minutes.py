"""A user's first minutes in a real browser: templates opened and run, nodes searched and linked.

Each template is opened in one of the two renderers. `make browser` opens all of them and searches
in both, which takes minutes; other runs open those that differ in kind.
"""

import json
import os
import subprocess

import hosting
import pytest
from real_browser import CHROMIUM, COMFYUI, IN_A_BROWSER, SCRIPTS
from template_answers import ANSWERS, NEEDS, check_answers
from templates import TEMPLATES

pytestmark = IN_A_BROWSER
# One answer, a talk over several nodes, lists, boxes, a document, a film, and one that needs more.
KINDS = (
    "just_caption",
    "chat",
    "folder_pieces",
    "detect_crop_caption",
    "document_pdf",
    "video_events",
    "zoom",
)
EVERYTHING = bool(os.environ.get("EVERY_TEMPLATE"))
OPENED = TEMPLATES if EVERYTHING else dict.fromkeys(KINDS)
RENDERERS = ("canvas", "vue") if EVERYTHING else ("canvas",)


# What is typed, and the first node that is found.
SEARCHED = {
    "load vlm": "Qwen3-VL Loader",
    "example picture": "Qwen3-VL Example Picture",
    "describe image": "Qwen3-VL Caption",
    "ocr": "OCR, Read Text (Qwen3-VL)",
    "反推": "Qwen3-VL Caption",
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Runs a script of `browser/` on one server; gives what it saw."""
    folder = tmp_path_factory.mktemp("minutes")
    with hosting.Server(COMFYUI, folder) as server:

        def run(script, *arguments):
            command = ["node", str(SCRIPTS / script), server.url, CHROMIUM, str(folder), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        yield run


@pytest.fixture(scope="module")
def seen(ask):
    """What the browser saw: API name of a template → {node_errors, entry, shown}."""
    titles = {TEMPLATES[name].stem: name for name in OPENED}
    return {titles[title]: what for title, what in ask("templates.js", *titles).items()}


@pytest.fixture(scope="module")
def built(ask):
    """What became of a graph built by hand, by renderer: {titles, texts, shown}."""
    return ask("search.js", ",".join(RENDERERS), *SEARCHED)


@pytest.mark.parametrize("name", [name for name in ANSWERS if name in OPENED])
def test_a_template_that_is_opened_and_run_shows_its_answer(seen, name):
    opened = seen[name]
    assert opened["node_errors"] == {}
    assert hosting.error_of(opened["entry"]) == ""
    check_answers(name, opened["entry"]["outputs"])
    for node, parts in ANSWERS[name].items():
        shown = opened["shown"][node]  # a ledger is shown in another order
        assert all(part in shown for part in parts), shown


@pytest.mark.parametrize("name", [name for name in NEEDS if name in OPENED])
def test_a_template_that_needs_more_shows_what(seen, name):
    opened = seen[name]
    assert hosting.error_of(opened["entry"]).startswith(NEEDS[name])
    assert any(text.startswith(NEEDS[name]) for text in opened["shown"].values())


@pytest.mark.parametrize("renderer", RENDERERS)
def test_nodes_that_are_searched_and_linked_by_hand_answer(built, renderer):
    (caption,) = ANSWERS["just_caption"]["3"]
    assert built[renderer]["titles"] == list(SEARCHED.values())
    assert any("A red square" in text and "\n" in text for text in built[renderer]["texts"])  # read
    assert sum(text.startswith(caption) for text in built[renderer]["texts"]) == 2
    assert built[renderer]["shown"].startswith(caption)
