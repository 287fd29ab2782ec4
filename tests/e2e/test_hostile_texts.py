"""Hostile texts in the nodes' boxes, in a real browser and both renderers."""

import json
import subprocess

import hosting
import pytest
from real_browser import CHROMIUM, COMFYUI, IN_A_BROWSER, SCRIPTS
from script_injections import script_injections

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """What hostile texts did in the boxes, by renderer."""
    folder = tmp_path_factory.mktemp("hostile")
    file = folder / "texts.json"
    # Names that every object has were looked up as if they were models, roles and menu entries.
    file.write_text(json.dumps(["constructor", "__proto__", *script_injections()]))
    with hosting.Server(COMFYUI, folder) as server:
        command = [
            "node",
            str(SCRIPTS / "hostile.js"),
            server.url,
            CHROMIUM,
            str(file),
            "0",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("renderer", ["canvas", "vue"])
def test_hostile_texts_are_shown_as_they_are_and_do_nothing(attacked, renderer):
    assert attacked[renderer] == {
        "dialogs": 0, "foreign": [], "errors": [], "wrong": 0, "hacked": None
    }  # fmt: skip
