"""One tiny checkpoint of each kind, built once; tests that damage one get a copy."""

import shutil
from types import SimpleNamespace

import pytest
from checkpoint_kinds import write_kind
from qwen3vl_nodes.loaders.hub import catalog

_built = {}


@pytest.fixture(scope="session")
def kind(tmp_path_factory):
    """`kind("moe")` is the folder of a tiny checkpoint; do not change it."""

    def folder(name):
        if name not in _built:
            _built[name] = write_kind(tmp_path_factory.mktemp("kinds") / name, name)
        return _built[name]

    return folder


@pytest.fixture
def copy_of(kind, tmp_path):
    """`copy_of("sharded")` is a copy that may be damaged."""

    def folder(name):
        return shutil.copytree(kind(name), tmp_path / name)

    return folder


@pytest.fixture
def lying_in(monkeypatch):
    """`lying_in(models=[…], adapters=[…], download=…)`: the host's folders, for the catalog."""

    def folders(models=(), adapters=(), download=None):
        host = SimpleNamespace(
            model_roots=lambda: list(models),
            adapter_roots=lambda: list(adapters),
            download_folder=lambda: download,
        )
        monkeypatch.setattr(catalog, "host", lambda: host)

    return folders
