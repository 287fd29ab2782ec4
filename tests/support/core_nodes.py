"""Which of core's nodes a ComfyUI has: those that take boxes came after the pack's floor."""

from functools import lru_cache

import hosting
import pytest


@lru_cache
def _sources():
    found = hosting.find_comfyui()
    files = sorted((found / "comfy_extras").glob("*.py")) if found else ()
    return "".join(path.read_text("utf-8") for path in files)


def core_has(name):
    """Whether the ComfyUI that tests start has this node."""
    return f'"{name}"' in _sources()


def needs_core(*names):
    """The mark of a test that wants these nodes of core."""
    missing = [name for name in names if not core_has(name)]
    return pytest.mark.skipif(bool(missing), reason=f"this ComfyUI has no {', '.join(missing)}")
