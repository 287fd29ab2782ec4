"""The loader node."""

from __future__ import annotations

from comfy_api.latest import io

from ..loaders import catalog
from ..loaders.local import LocalModel
from ..loaders.settings import ATTENTION, DEVICES, DTYPES, ENGINES, QUANTIZATION, LoadSettings
from . import sockets


class Qwen3VLLoader(io.ComfyNode):
    """Chooses a checkpoint and how to load it; the weights load at first use."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLLoader",
            display_name="Qwen3-VL Loader",
            category=sockets.CATEGORY,
            description="Chooses a Qwen3-VL checkpoint. It loads when it is first used, once, "
            "and is shared by every node with the same settings.",
            search_aliases=["qwen", "vlm", "vision language model", "caption"],
            inputs=[
                io.Combo.Input(
                    "model",
                    options=catalog.choices(),
                    default=catalog.DEMO_NAME,
                    tooltip="The built-in demo knows colored shapes, words and simple pages. "
                    "Official checkpoints and your own folders are looked for in models/LLM, "
                    "models/text_encoders and models/prompt_generator.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(DTYPES),
                    default="auto",
                    tooltip="auto: bf16 on newer GPUs, fp16 on older ones, fp32 on the CPU.",
                ),
                io.Combo.Input(
                    "attention",
                    options=list(ATTENTION),
                    default="auto",
                    tooltip="auto is sdpa, which needs no package. flash_attention_2 needs "
                    "flash-attn.",
                ),
                io.Combo.Input(
                    "quantization",
                    options=list(QUANTIZATION),
                    default="none",
                    tooltip="8-bit and 4-bit save memory and need bitsandbytes.",
                ),
                io.Combo.Input("device", options=list(DEVICES), default="auto"),
                io.Combo.Input(
                    "engine",
                    options=list(ENGINES),
                    default="auto",
                    tooltip="fast generates many answers at once; reference is transformers' own "
                    "generate. auto takes fast where it can.",
                ),
            ],
            outputs=[sockets.Model.Output(display_name="model")],
        )

    @classmethod
    def execute(
        cls,
        model: str,
        dtype: str,
        attention: str,
        quantization: str,
        device: str,
        engine: str,
    ) -> io.NodeOutput:
        """Return a handle; nothing is loaded here."""
        settings = LoadSettings(model, dtype, attention, quantization, device, engine)
        return io.NodeOutput(LocalModel(settings))
