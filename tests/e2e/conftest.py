"""This process needs a host too, to compare with the server's nodes; tests share a server."""

import hosting
import pytest

hosting.ensure_host()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory):
    """A ComfyUI with the pack's demo checkpoint; tests put what they need into its input."""
    folder = tmp_path_factory.mktemp("server")
    with hosting.Server(hosting.find_comfyui(), folder) as up:
        up.folder = folder
        yield up
