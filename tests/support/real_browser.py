"""A real browser for tests: where it is, and the mark of tests that need it and ComfyUI."""

import shutil
import subprocess
from pathlib import Path

import hosting
import pytest

COMFYUI = hosting.find_comfyui()
SCRIPTS = Path(__file__).parents[1] / "e2e" / "browser"


def find_chromium():
    """The system's Chromium, else Playwright's own; None without it, node or playwright-core.

    Node finds playwright-core on NODE_PATH, which `make browser` sets.
    """
    if shutil.which("node") is None:
        return None
    question = ["node", "-p", "require('playwright-core').chromium.executablePath()"]
    found = subprocess.run(question, cwd=SCRIPTS, capture_output=True, text=True, check=False)
    if found.returncode:
        return None
    own = found.stdout.strip()
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    return system or (own if Path(own).is_file() else None)


CHROMIUM = find_chromium()
IN_A_BROWSER = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium and playwright-core: make browser"),
]
