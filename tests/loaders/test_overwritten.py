"""A checkpoint or an adapter that is overwritten under its name is loaded anew, the old let go."""

import os
import shutil

import hosting
import pytest
import torch
from checkpoint_kinds import edit_weights, write_adapter
from engine_requests import ask
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint import inspection, lora_files
from qwen3vl_nodes.loaders.checkpoint.config import files_version
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan import prepare as preparing
from qwen3vl_nodes.loaders.plan import whole_copy
from qwen3vl_nodes.loaders.settings import PARK, UNTIL_WANTED, Adapter, LoadSettings
from qwen3vl_nodes.loaders.weights.build import size_bytes
from qwen3vl_nodes.utils.errors import LoadError
from safetensors.torch import load_file, save_file


@pytest.fixture
def place(copy_of, monkeypatch, lying_in):
    """A checkpoint's folder that every name means, and modules as they are built."""
    folder = copy_of("dense")
    for module in (local_model, preparing):
        monkeypatch.setattr(module, "host", lambda: torch_only)
    monkeypatch.setattr(catalog, "folder_of", lambda _name: folder)
    lying_in(adapters=[folder.parent])
    MODEL_CACHE.clear()
    yield folder
    MODEL_CACHE.clear()


def handle(**choices):
    return LocalModel(LoadSettings("x", device="cpu", dtype="fp32", engine="reference", **choices))


def use(model):
    """(its module, its answer)."""
    with torch.inference_mode(), model.open() as engine:
        replies = engine.generate([ask("A question", max_new_tokens=8)])
        return engine._module, next(reply.text for _, reply in replies)


def negate(path):
    """Other weights of the same names and sizes, as a fine-tune saves them over the old ones."""
    size = path.stat().st_size
    weights = load_file(path)
    save_file({name: -value for name, value in weights.items()}, path, metadata={"format": "pt"})
    assert path.stat().st_size == size


@pytest.mark.parametrize("keep", [UNTIL_WANTED, PARK])
def test_overwritten_weights_are_loaded_and_the_old_let_go(place, keep):
    old, before = use(handle(keep=keep))
    assert use(handle(keep=keep)) == (old, before)
    if keep == PARK:
        torch_only.make_room(1 << 60, torch.device("cpu"))
        assert size_bytes(old) > 0
    negate(place / "model.safetensors")
    new, after = use(handle(keep=keep))
    assert new is not old and after != before
    assert size_bytes(old) == 0 and size_bytes(new) > 0
    assert use(handle(keep=keep)) == (new, after)
    assert len(MODEL_CACHE.settings()) == 1


def test_overwritten_while_it_answers(place):
    """Whoever has the old weights keeps them to the end; the next one gets the new ones."""
    with handle().open() as engine:
        negate(place / "model.safetensors")
        new, _ = use(handle())
        assert new is not engine._module and size_bytes(engine._module) > 0
        old = engine._module
    assert size_bytes(old) == 0 and use(handle())[0] is new


READERS = [(local_model, "build"), (inspection, "_inspect"), (lora_files, "read_header")]


@pytest.mark.parametrize(("module", "reader"), READERS)
def test_overwritten_while_it_is_read(place, monkeypatch, module, reader):
    """What was read may be half of each: the stamp is from before, so the next run reads again."""
    folder = write_adapter(place.parent / "style", use(handle())[0])
    files = {lora_files: folder / "adapter_model.safetensors"}
    original = getattr(module, reader)

    def read(*args):
        monkeypatch.setattr(module, reader, original)
        result = original(*args)
        negate(files.get(module, place / "model.safetensors"))
        return result

    styled = handle().with_adapter(Adapter("style", 2.0))
    whole_copy._memory.clear()  # so that it is read
    monkeypatch.setattr(module, reader, read)
    old, _ = use(styled)
    new, _ = use(styled)
    assert new is not old and use(styled)[0] is new


def test_half_a_download_is_not_answered_from_memory(place):
    old, _ = use(handle())
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LoadError, match="cut off"):
        use(handle())
    assert size_bytes(old) == 0 and not MODEL_CACHE.settings()


def test_an_overwritten_adapter_is_merged_anew(place):
    plain, _ = use(handle())
    folder = write_adapter(place.parent / "style", plain)
    styled = handle().with_adapter(Adapter("style", 2.0))
    first, before = use(styled)
    assert use(styled) == (first, before)
    edit_weights(
        folder / "adapter_model.safetensors",
        lambda weights: weights.update({k: -v for k, v in weights.items() if "lora_A" in k}),
    )
    second, after = use(styled)
    assert second is not first and after != before and size_bytes(first) == 0


def later(path):
    facts = path.stat()
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000))


def longer(path):
    """As an archive unpacks it: the times are old."""
    facts = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES = {
    "longer, same time": (lambda f: longer(f / "config.json"), True),
    "same size, later": (lambda f: later(f / "model.safetensors"), True),
    "another size": (lambda f: (f / "config.json").write_text("{}"), True),
    "a shard more": (lambda f: (f / "model-2.safetensors").touch(), True),
    "a name": (lambda f: (f / "vocab.json").rename(f / "vocab2.json"), True),
    "the template": (lambda f: later(f / "chat_template.jinja"), True),
    "gone": (shutil.rmtree, True),
    "a read-me": (lambda f: (f / "README.md").write_text("hello"), False),
    "a cache of the hub": (lambda f: (f / "a.json").mkdir(), False),
    "nothing": (lambda f: None, False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_counts_as_overwritten(place, name):
    (place / "vocab.json").write_text("{}")
    before = files_version(place)
    change, counts = CHANGES[name]
    change(place)
    assert (files_version(place) != before) == counts


def test_a_stamp_of_a_single_file_and_through_links(place, tmp_path):
    """A hub's cache holds links; what they lead to counts."""
    single = place / "model.safetensors"
    link = tmp_path / "link.safetensors"
    link.symlink_to(single)
    (tmp_path / "broken.json").symlink_to(tmp_path / "nowhere")
    befores = [files_version(single), files_version(link), files_version(tmp_path)]
    assert "" not in befores
    later(single)
    assert not {files_version(single), files_version(link), files_version(tmp_path)} & set(befores)


def test_comfyui_runs_the_loader_again(kind, tmp_path, monkeypatch):
    """Its node cache goes by this fingerprint, so downstream answers are asked for again."""
    hosting.ensure_host()
    import folder_paths
    from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader
    from qwen3vl_nodes.nodes.models.lora import Qwen3VLLora

    folder = shutil.copytree(kind("dense"), tmp_path / "LLM" / "Tiny")
    adapter = tmp_path / "loras" / "style"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(catalog, "_memory", catalog._Found(float("-inf"), {}, {}))

    def prints():
        """As ComfyUI asks: without what comes through links."""
        return (
            Qwen3VLLoader.fingerprint_inputs(model="Tiny", dtype="auto"),
            Qwen3VLLora.fingerprint_inputs(adapter="style", strength=1.0, mode="merged"),
        )

    first = prints()
    assert all(first) and prints() == first
    later(folder / "model.safetensors")
    second = prints()
    assert second[0] != first[0] and second[1] == first[1]
    later(adapter / "adapter_config.json")
    third = prints()
    assert third[0] == second[0] and third[1] != second[1]
    # Not there, or linked: no error, which ComfyUI would take for "always run".
    assert Qwen3VLLoader.fingerprint_inputs(model="gone") == ""
    assert Qwen3VLLoader.fingerprint_inputs() == Qwen3VLLora.fingerprint_inputs(adapter=None) == ""
    assert Qwen3VLLoader.fingerprint_inputs(model=catalog.DEMO_NAME)
