"""Hostile texts in the nodes as a browser shows them, and frames while a text streams.

    python tests/soak/browser_texts.py blns.json
    python tests/soak/browser_texts.py blns.json --front-end comfyui_frontend_package/static

`blns.json` is the Big List of Naughty Strings; the script injections of the tests are shown too. In
both renderers every text is a caption, a label, a file's name, a turn, a title while it streams, an
error and a model's name; the last ones are kept in a workflow that is opened again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "support"), str(TESTS.parent / "examples" / "scripts")]

import hosting  # noqa: E402
from real_browser import CHROMIUM, SCRIPTS  # noqa: E402
from script_injections import script_injections  # noqa: E402


def main() -> None:
    """Show them all and print what they did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("strings", type=Path, help="a JSON list of texts")
    parser.add_argument("--front-end", help="the folder of another front end")
    parser.add_argument("--seconds", type=int, default=8, help="of streaming")
    chosen = parser.parse_args()
    comfyui = hosting.find_comfyui()
    if comfyui is None or CHROMIUM is None:
        raise SystemExit("It needs a ComfyUI checkout, Chromium and playwright-core.")
    texts = [*json.loads(chosen.strings.read_text("utf-8")), *script_injections()]
    more = ("--front-end-root", chosen.front_end) if chosen.front_end else ()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts), encoding="utf-8")
        with hosting.Server(comfyui, Path(folder), arguments=more) as server:
            command = [
                "node",
                str(SCRIPTS / "hostile.js"),
                server.url,
                CHROMIUM,
                str(file),
                str(chosen.seconds),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    for renderer, seen in json.loads(done.stdout).items():
        print(f"{renderer}: {len(texts)} texts, {seen}")
        if seen["dialogs"] or seen["foreign"] or seen["errors"] or seen["wrong"] or seen["hacked"]:
            raise SystemExit("A text did something, or was not shown as it is.")


if __name__ == "__main__":
    main()
