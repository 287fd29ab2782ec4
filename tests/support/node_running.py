"""Runs nodes without a server, as ComfyUI would."""

from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions

LOADER = {
    "dtype": "auto", "attention": "auto", "quantization": "none", "device": "cpu",
    "engine": "auto",
}  # fmt: skip
SHORT = GenerationOptions(max_new_tokens=6)


def run_node(node, **inputs):
    """Execute a V3 node as ComfyUI does, with a hidden id; its NodeOutput."""
    from comfy_api.latest import io

    class Held(node):
        hidden = io.HiddenHolder.from_dict({io.Hidden.unique_id: "7"})

    return Held.execute(**inputs)
