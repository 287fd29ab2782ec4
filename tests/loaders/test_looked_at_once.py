"""A checkpoint is looked at once between the loader's report and its load; a change is seen."""

import json

import pytest
from checkpoint_kinds import edit_json, write_adapter
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.plan import whole_copy
from qwen3vl_nodes.loaders.plan.prepare import prepare
from qwen3vl_nodes.loaders.settings import Adapter, LoadSettings
from qwen3vl_nodes.loaders.weights.build import build
from qwen3vl_nodes.utils.errors import LoadError


@pytest.fixture
def looks(monkeypatch):
    """How often each folder was looked at."""
    made = []
    for name in ("inspect", "inspect_adapter"):
        original = getattr(whole_copy, name)

        def look(folder, *more, original=original):
            made.append(folder.name)
            return original(folder, *more)

        monkeypatch.setattr(whole_copy, name, look)
    whole_copy._memory.clear()
    return made


def test_the_same_files_are_looked_at_once(copy_of, monkeypatch, lying_in, looks):
    folder = copy_of("dense")
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    lying_in(adapters=[folder.parent])
    settings = LoadSettings("x", device="cpu", dtype="fp32")
    first = prepare(settings)
    write_adapter(folder.parent / "style", build(first.checkpoint, first.plan, "native").module)
    styled = LoadSettings("x", device="cpu", adapters=(Adapter("style"),))
    for _ in range(3):
        assert prepare(settings).checkpoint is first.checkpoint
        assert prepare(styled).loras[0][1].layers
    assert looks == ["dense", "style"]
    edit_json(folder / "config.json", extra=1)
    assert prepare(styled).checkpoint.config["extra"] == 1
    assert looks == ["dense", "style", "dense"]
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_json(folder / "config.json", text_config=text | {"vocab_size": 1 << 40})
    for _ in range(2):
        with pytest.raises(LoadError, match="vocab_size"):
            prepare(settings)
    assert len(whole_copy._memory) <= whole_copy.REMEMBERED
