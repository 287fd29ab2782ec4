"""A checkpoint is looked at once between the loader's report and its load; a change is seen."""

import json
import os
from dataclasses import replace

import pytest
from checkpoint_kinds import edit_json, write_adapter
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.plan import whole_copy
from qwen3vl_nodes.loaders.plan.prepare import prepare
from qwen3vl_nodes.loaders.settings import UNLOAD, YARN, Adapter, LoadSettings
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


def touched(path):
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000))


def test_what_makes_an_answer_is_told_apart(copy_of, monkeypatch, lying_in):
    """Names stay while files change: a retrained adapter, a replaced checkpoint."""
    folder = copy_of("dense")
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    lying_in(adapters=[folder.parent])
    plain = LocalModel(LoadSettings("x", device="cpu"))
    prepared = prepare(plain.settings)
    adapter = write_adapter(
        folder.parent / "style", build(prepared.checkpoint, prepared.plan, "native").module
    )
    styled = plain.with_adapter(Adapter("style"))
    other = {"dtype": "bf16", "quantization": "4-bit", "context": YARN}
    handles = [plain, styled]
    handles += [LocalModel(replace(plain.settings, **{key: other[key]})) for key in other]
    seen = {handle.making for handle in handles}
    assert len(seen) == 5 and "" not in seen
    for same in ({"attention": "eager"}, {"engine": "reference"}, {"keep": UNLOAD}):
        assert LocalModel(replace(plain.settings, **same)).making == plain.making
    identities = [handle.identity for handle in handles]
    before = plain.making, styled.making
    touched(adapter / "adapter_model.safetensors")
    assert plain.making == before[0] and styled.making not in seen
    touched(folder / "model.safetensors")
    assert plain.making not in seen
    assert [handle.identity for handle in handles] == identities
    (folder / "model.safetensors").unlink()
    assert plain.making == styled.making == ""
