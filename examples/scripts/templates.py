"""Where the templates are. ComfyUI's browser shows a pack's file names as titles, and nothing else."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1]


def api_name(title: str) -> str:
    """What a template's twin in `api/` is called: "12 Detect, crop, caption" is
    `detect_crop_caption`. The number orders the browser alone."""
    number, _, words = title.partition(" ")
    words = words if number.isdecimal() else title
    return "_".join(words.lower().replace(",", "").split())


# API name → the workflow, in the order of the browser.
TEMPLATES: dict[str, Path] = {api_name(path.stem): path for path in sorted(EXAMPLES.glob("*.json"))}
