"""Templates opened in a real browser and run from there, in one of the two renderers each.

`make browser` opens all of them, which takes minutes; other runs those that differ in kind.
"""

import json
import os
import subprocess

import hosting
import pytest
from real_browser import CHROMIUM, COMFYUI, IN_A_BROWSER, SCRIPTS
from template_answers import ANSWERS, NEEDS, has_in_order
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
OPENED = TEMPLATES if os.environ.get("EVERY_TEMPLATE") else dict.fromkeys(KINDS)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the browser saw: API name of a template → {node_errors, entry, shown}."""
    folder = tmp_path_factory.mktemp("templates")
    titles = {TEMPLATES[name].stem: name for name in OPENED}
    with hosting.Server(COMFYUI, folder) as server:
        command = ["node", str(SCRIPTS / "templates.js"), server.url, CHROMIUM, str(folder)]
        done = subprocess.run(
            [*command, *titles], capture_output=True, text=True, timeout=600, check=False
        )
    assert done.returncode == 0, done.stderr
    return {titles[title]: what for title, what in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", [name for name in ANSWERS if name in OPENED])
def test_a_template_that_is_opened_and_run_shows_its_answer(seen, name):
    opened = seen[name]
    assert opened["node_errors"] == {}
    assert hosting.error_of(opened["entry"]) == ""
    for node, parts in ANSWERS[name].items():
        assert has_in_order("\n".join(opened["entry"]["outputs"][node]["text"]), parts)
        shown = opened["shown"][node]  # a ledger is shown in another order
        assert all(part in shown for part in parts), shown


@pytest.mark.parametrize("name", [name for name in NEEDS if name in OPENED])
def test_a_template_that_needs_more_shows_what(seen, name):
    opened = seen[name]
    assert hosting.error_of(opened["entry"]).startswith(NEEDS[name])
    assert any(text.startswith(NEEDS[name]) for text in opened["shown"].values())
