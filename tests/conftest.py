"""Every test sees the checkout as the package `qwen3vl_nodes`, as ComfyUI would load it."""

from qwen3vl_pack import load_pack

load_pack()
