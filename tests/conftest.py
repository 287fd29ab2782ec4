"""Every test sees the checkout as the package `qwen3vl_nodes`, as ComfyUI would load it."""

from hypothesis import HealthCheck, settings
from qwen3vl_pack import load_pack

load_pack()
# On a busy machine the first text takes seconds: the tables of all letters are made for it.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_configure(config):
    # Else xdist begins with the files of most tests; the longest of all have few.
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files that start servers first: the shorter the last ones, the less one worker waits."""
    items.sort(key=lambda item: "e2e" not in item.path.parts)
