"""Makes the pack's pure rooms importable: names, endings, modes, matching, words.

The pack's folder may have any name, and the pack itself wants ComfyUI, so its `utils` are loaded
as the package `qwen3vl_utils`. Nothing that the client imports of them needs more than Python and
PyYAML.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

UTILS = Path(__file__).resolve().parents[2] / "utils"
_NAME = "qwen3vl_utils"


def _load() -> None:
    spec = importlib.util.spec_from_file_location(
        _NAME, UTILS / "__init__.py", submodule_search_locations=[str(UTILS)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{UTILS} is not there; keep this client where the pack has it")
    sys.modules[_NAME] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


_load()
