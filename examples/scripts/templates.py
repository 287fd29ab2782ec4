"""Where the templates are: ComfyUI's browser shows the file names of a pack as their titles."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1]


def api_name(title: str) -> str:
    """What the twin in `api/` is called: `detect_crop_caption` of "12 Detect, crop, caption".

    The number is for the order in the browser.
    """
    number, _, words = title.partition(" ")
    words = words if number.isdecimal() else title
    return "_".join(words.lower().replace(",", "").split())


# API name → the workflow, in the order of the browser.
TEMPLATES: dict[str, Path] = {api_name(path.stem): path for path in sorted(EXAMPLES.glob("*.json"))}
