"""This process needs a host too, to compare with the server's nodes; tests share a server."""

import hosting
import pytest
from tiny_checkpoint import write_checkpoint

hosting.ensure_host()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory):
    """A ComfyUI with the demo checkpoint and a tiny one; tests put what they need into its input.

    A start takes ten seconds of a core: whoever stops it starts it again for those that follow.
    """
    folder = tmp_path_factory.mktemp("server")
    write_checkpoint(folder / "models" / "Tiny")
    with hosting.Server(hosting.find_comfyui(), folder, models=folder / "models") as up:
        up.folder = folder
        yield up
