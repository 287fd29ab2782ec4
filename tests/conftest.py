"""Every test sees the checkout as the package `qwen3vl_nodes`, as ComfyUI would load it."""

from qwen3vl_pack import load_pack

load_pack()


def pytest_configure(config):
    # Else xdist begins with the files of most tests; the longest of all have few.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files that start servers first: the shorter the last ones, the less one worker waits."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)
