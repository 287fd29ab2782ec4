"""The loader node."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.host.port import host
from ...loaders.hub import catalog
from ...loaders.hub.official import DEMO_NAME
from ...loaders.local_model import LocalModel
from ...loaders.plan.capability import table
from ...loaders.plan.hardware import this_machine
from ...loaders.plan.memory_estimate import quantized_gb
from ...loaders.settings import (
    ATTENTION,
    CONTEXTS,
    DEVICES,
    DTYPES,
    ENGINES,
    KEEPING,
    NATIVE,
    NO_DOWNLOAD,
    QUANTIZATION,
    SOURCES,
    UNTIL_WANTED,
    LoadSettings,
)
from ...utils.errors import LoadError
from ..forms import sockets
from ..forms.search_words import search_words


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
            search_aliases=search_words("Qwen3VLLoader"),
            inputs=[
                io.Combo.Input(
                    "model",
                    options=catalog.choices(),
                    default=DEMO_NAME,
                    extra_dict={"weights_gb": catalog.weights_gb(), "memory_gb": quantized_gb()},
                    tooltip="The built-in demo knows colored shapes, words and simple pages. "
                    "Official checkpoints and your own folders are looked for in models/LLM, "
                    "models/text_encoders, models/prompt_generator and the hubs' own caches.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(DTYPES),
                    default="auto",
                    advanced=True,
                    tooltip="auto: bf16 on newer GPUs, fp16 on older ones, fp32 on the CPU. fp8 "
                    "keeps the weights of an -FP8 checkpoint as they are.",
                ),
                io.Combo.Input(
                    "attention",
                    options=list(ATTENTION),
                    default="auto",
                    advanced=True,
                    tooltip="auto is sdpa, which needs no package. flash_attention_2 needs "
                    "flash-attn, flash_attention_3 its version for Hopper.",
                ),
                io.Combo.Input(
                    "quantization",
                    options=list(QUANTIZATION),
                    default="none",
                    tooltip="int4 and int8 save memory, need no package and stay fast on NVIDIA "
                    "GPUs; 8-bit and 4-bit need bitsandbytes.",
                ),
                io.Combo.Input(
                    "device",
                    options=list(DEVICES),
                    default="auto",
                    advanced=True,
                    tooltip="all GPUs spreads the layers of a large model; GPU and RAM keeps in "
                    "RAM what does not fit, and is slow.",
                ),
                io.Combo.Input(
                    "engine",
                    options=list(ENGINES),
                    default="auto",
                    advanced=True,
                    tooltip="fast generates many answers at once; reference is transformers' own "
                    "generate. auto takes fast where it can.",
                ),
                *later_inputs(),
            ],
            outputs=[
                sockets.Model.Output(display_name="model"),
                io.String.Output("report", display_name="report"),
            ],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        """Any model that can be found or fetched, also by a name that an older menu had."""
        if model is None or catalog.spec_of(model) is not None:  # linked, or an official one
            return True
        try:
            catalog.folder_of(model)
        except LoadError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, model: str = "", **_inputs: object) -> str:
        """Differs once the checkpoint is overwritten, so that what it answered is asked again."""
        return catalog.version_of(model)

    @classmethod
    def execute(
        cls,
        model: str,
        dtype: str,
        attention: str,
        quantization: str,
        device: str,
        engine: str,
        context: str = NATIVE,
        keep: str = UNTIL_WANTED,
        download: str = NO_DOWNLOAD,
    ) -> io.NodeOutput:
        """Return a handle and what it will do; the weights are not loaded here."""
        settings = LoadSettings(
            model, dtype, attention, quantization, device, engine, context, keep, download
        )
        handle = LocalModel(settings)
        plan = handle.describe()
        machine = table(this_machine(), host().default_device())
        return io.NodeOutput(handle, f"{plan}\n\n{machine}", ui={"text": [plan]})


def later_inputs() -> list[io.Input]:
    """Widgets added after the first release; optional, so that older workflows still run."""
    return [
        io.Combo.Input(
            "context",
            options=list(CONTEXTS),
            default=NATIVE,
            optional=True,
            advanced=True,
            tooltip="native is 262,144 tokens for the official models. 1M stretches it with "
            "YaRN, as Qwen describes; answers to short prompts change a little too.",
        ),
        io.Combo.Input(
            "keep",
            options=list(KEEPING),
            default=UNTIL_WANTED,
            optional=True,
            advanced=True,
            tooltip="What becomes of the weights after a run: they stay until another model "
            "wants the memory (then they are dropped, or parked in RAM to come back quickly), or "
            "they go at once.",
        ),
        io.Combo.Input(
            "download",
            options=list(SOURCES),
            default=NO_DOWNLOAD,
            optional=True,
            tooltip="Where to get a checkpoint that is not on this machine. never does not touch "
            "the network.",
        ),
    ]
