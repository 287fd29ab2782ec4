"""Every place where checkpoints lie is found under the right name, cheaply, and kept fresh."""

import importlib.util
import json
import time
from pathlib import Path

import pytest
from qwen3vl_nodes.loaders.host import comfyui, comfyui_folders
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.hub.discovery import adapter_folders, hub_caches, local_copies
from qwen3vl_nodes.loaders.hub.official import DEMO_NAME, MODELS, spec_of
from qwen3vl_nodes.utils.errors import LoadError


def put(folder, model_type="qwen3_vl", file="config.json"):
    folder.mkdir(parents=True)
    (folder / file).write_text(json.dumps({"model_type": model_type}))
    return folder


def test_all_official_checkpoints():
    names = [spec.name for spec in MODELS]
    assert len(names) == len(set(names)) == 6 * 2 * 2
    assert names[0] == "Qwen3-VL-2B-Instruct"
    for name in ("Qwen3-VL-235B-A22B-Thinking", "Qwen3-VL-30B-A3B-Instruct-FP8"):
        assert name in names
        assert spec_of(name).repository == f"Qwen/{name}"
    assert spec_of("Qwen3-VL-8B-Instruct-FP8").weights_gb < 11
    assert spec_of("Qwen3-VL-9B") is None


def test_names_by_place(tmp_path):
    llm, cache = tmp_path / "LLM", tmp_path / "hub"
    official = put(llm / "Qwen-VL" / "Qwen3-VL-4B-Instruct")
    tuned = put(llm / "mine" / "tuned", "qwen3_vl_moe")
    put(llm / "other", "llama")
    put(llm / "tuned-too" / "checkpoint-10" / "x" / "too deep")
    put(llm / ".hidden")
    cached = put(cache / "models--Qwen--Qwen3-VL-8B-Instruct" / "snapshots" / "abc")
    foreign = put(cache / "models--someone--Tuned-VL" / "snapshots" / "def")
    assert local_copies([llm, cache, tmp_path / "nothing"]) == {
        "Qwen3-VL-4B-Instruct": (official,),
        "Qwen3-VL-8B-Instruct": (cached,),
        "mine/tuned": (tuned,),
        "someone/Tuned-VL": (foreign,),
    }


def test_the_first_of_two_wins(tmp_path):
    first = put(tmp_path / "a" / "Qwen3-VL-2B-Instruct")
    second = put(tmp_path / "b" / "Qwen3-VL-2B-Instruct")
    roots = [tmp_path / "a", tmp_path / "b", tmp_path / "a"]
    assert local_copies(roots) == {first.name: (first, second)}


@pytest.mark.parametrize("main", ["b" * 40, "a" * 40, None])
def test_of_two_snapshots_the_one_that_main_names_comes_first(tmp_path, main):
    repository = tmp_path / "models--Qwen--Qwen3-VL-2B-Instruct"
    places = {commit: put(repository / "snapshots" / (commit * 40)) for commit in "ab"}
    if main:
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(main)
    order = "ba" if main == "b" * 40 else "ab"
    expected = tuple(places[commit] for commit in order)
    assert local_copies([tmp_path]) == {"Qwen3-VL-2B-Instruct": expected}


CACHES = {
    "nothing set": {},
    "HF_HUB_CACHE": {"HF_HUB_CACHE": "/a/b"},
    "HF_HUB_CACHE in the home": {"HF_HUB_CACHE": "~/x/$PLACE", "PLACE": "y"},
    "the older name": {"HUGGINGFACE_HUB_CACHE": "/older"},
    "both names": {"HUGGINGFACE_HUB_CACHE": "/older", "HF_HUB_CACHE": "/newer"},
    "HF_HOME": {"HF_HOME": "~/models/hf"},
    "HF_HOME with a variable": {"HF_HOME": "$PLACE/hf", "PLACE": "/p"},
    "XDG_CACHE_HOME": {"XDG_CACHE_HOME": "/xdg"},
    "XDG and HF_HOME": {"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/hf"},
}


@pytest.mark.parametrize("name", CACHES)
def test_the_cache_is_where_huggingface_hub_looks(monkeypatch, name):
    from huggingface_hub import constants

    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(key, raising=False)
    for key, value in CACHES[name].items():
        monkeypatch.setenv(key, value)
    found = importlib.util.spec_from_file_location("fresh", constants.__file__)
    assert found and found.loader
    fresh = importlib.util.module_from_spec(found)
    monkeypatch.setattr(fresh, "__package__", "huggingface_hub")
    found.loader.exec_module(fresh)
    assert hub_caches()[0] == Path(fresh.HF_HUB_CACHE)


@pytest.mark.parametrize(
    "config", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"a":' * 100_000, b" " * 2_000_000]
)
def test_an_unreadable_config_is_no_checkpoint(tmp_path, config):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_bytes(config)
    assert local_copies([tmp_path]) == {}


def test_adapters(tmp_path):
    folder = put(tmp_path / "style", file="adapter_config.json")
    put(tmp_path / "Qwen3-VL-2B-Instruct")
    assert adapter_folders([tmp_path]) == {"style": folder}


@pytest.fixture
def roots(tmp_path, monkeypatch, lying_in):
    lying_in([tmp_path / "LLM"], [tmp_path / "loras"], tmp_path / "LLM/Qwen-VL")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "scope"))
    monkeypatch.setattr(catalog, "_memory", catalog._Found(float("-inf"), (), ()))
    return tmp_path


def test_the_menu(roots, monkeypatch):
    put(roots / "LLM" / "mine")
    put(roots / "scope" / "models" / "Qwen" / "Qwen3-VL-2B-Thinking")
    menu = catalog.choices()
    assert menu[:3] == [DEMO_NAME, "Qwen3-VL-2B-Thinking", "mine"]
    assert sorted(set(menu)) == sorted(menu) and len(menu) == 26
    # ComfyUI asks many times in a row; the disk is read once, and again a little later.
    put(roots / "LLM" / "new")
    assert "new" not in catalog.choices()
    monkeypatch.setattr(catalog, "REMEMBER_SECONDS", 0.0)
    assert "new" in catalog.choices()
    assert catalog.adapter_choices() == [catalog.NO_ADAPTER]


def test_what_is_not_there(roots):
    with pytest.raises(LoadError) as caught:
        catalog.folder_of("Qwen3-VL-8B-Instruct-FP8")
    assert "10.6 GB" in str(caught.value)
    assert str(roots / "LLM" / "Qwen-VL" / "Qwen3-VL-8B-Instruct-FP8") in str(caught.value)
    with pytest.raises(LoadError, match="No Qwen3-VL checkpoint called '../../x'"):
        catalog.folder_of("../../x")


def test_a_name_that_a_workflow_stored_is_found(roots):
    """From Windows, or from where the folder lay a level higher or deeper."""
    folder = put(roots / "LLM" / "Qwen-VL" / "Tuned")
    for name in ("Qwen-VL/Tuned", "Qwen-VL\\Tuned", "Tuned", "prompt_generator/Tuned"):
        assert catalog.folder_of(name) == folder
    put(roots / "LLM" / "other" / "Tuned")
    assert catalog.folder_of("Qwen-VL\\Tuned") == folder
    for name in ("Tuned", "../../Qwen-VL/Tuned", "x/y/Tuned"):  # which of two, nobody knows
        with pytest.raises(LoadError, match="No Qwen3-VL checkpoint called"):
            catalog.folder_of(name)


def test_a_hundred_folders_are_listed_quickly(roots):
    for number in range(100):
        put(roots / "LLM" / f"model-{number}")
    started = time.process_time()
    catalog.choices()
    assert time.process_time() - started < 3


def test_a_folder_that_may_not_be_looked_into_is_left_out(tmp_path, monkeypatch):
    """Like "System Volume Information", where the models are at the root of a disk."""
    good = put(tmp_path / "good")
    put(tmp_path / "System Volume Information")
    is_file = Path.is_file

    def guarded(path):
        if path.parent.name == "System Volume Information":
            raise PermissionError(13, "Access is denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", guarded)
    assert local_copies([tmp_path]) == {"good": (good,)}


def test_a_drive_that_is_locked_is_left_out_of_the_menu(tmp_path, monkeypatch):
    locked = OSError(22, "This drive is locked by BitLocker Drive Encryption", "E:")
    monkeypatch.setattr(comfyui_folders, "_folders", lambda _kinds: [tmp_path])
    assert comfyui.model_roots() == comfyui.adapter_roots() == [tmp_path]

    is_dir_before = Path.is_dir

    def is_dir(path):
        if path == tmp_path:
            raise locked
        return is_dir_before(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    assert comfyui.model_roots() == comfyui.adapter_roots() == []
