"""Loads the checkout as the package `qwen3vl_nodes`, whatever its folder is called."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
NAME = "qwen3vl_nodes"
# Scripts that are run by hand find the helpers too; pytest has them from pyproject.toml.
SUPPORT = str(ROOT / "tests" / "support")
if SUPPORT not in sys.path:
    sys.path.insert(1, SUPPORT)


def load_pack() -> ModuleType:
    """The pack's top-level package; loaded once."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    spec = importlib.util.spec_from_file_location(
        NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module
