"""What a user chooses when loading a model; the key of the model cache."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..utils.errors import InputError
from ..utils.files.fingerprint import published

# Every tuple is stored in workflows: append only.
DTYPES = ("auto", "bf16", "fp16", "fp32", "fp8")
ATTENTION = ("auto", "sdpa", "flash_attention_2", "eager", "flash_attention_3")
QUANTIZATION = ("none", "8-bit", "4-bit", "int4", "int8")
ENGINES = ("auto", "fast", "reference")
ALL_GPUS, GPU_AND_RAM = "all GPUs", "GPU and RAM"
# A fixed list: asking torch for its devices while ComfyUI builds the menu would initialize CUDA.
DEVICES = ("auto", *(f"cuda:{n}" for n in range(8)), "mps", "cpu", ALL_GPUS, GPU_AND_RAM)
NATIVE, YARN = "native", "1M (YaRN)"
CONTEXTS = (NATIVE, YARN)
UNTIL_WANTED, PARK, UNLOAD = "until memory is wanted", "park in RAM", "unload after run"
KEEPING = (UNTIL_WANTED, PARK, UNLOAD)
NO_DOWNLOAD, HUGGING_FACE, MODELSCOPE = "never", "Hugging Face", "ModelScope"
SOURCES = (NO_DOWNLOAD, HUGGING_FACE, MODELSCOPE)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter by its name in the menu; `merged` folds it into the weights."""

    name: str
    strength: float = 1.0
    merged: bool = True

    @property
    def identity(self) -> str:
        """What a model's identity knows it by; see `published` for how a field is added."""
        first = {"name": self.name, "strength": self.strength, "merged": self.merged}
        return published("Adapter", first)


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """One loader node's choices. `model` is a name of the catalog's list.

    `download` does not change what is loaded, so it is not part of the key.
    """

    model: str
    dtype: str = "auto"
    attention: str = "auto"
    quantization: str = "none"
    device: str = "auto"
    engine: str = "auto"
    context: str = NATIVE
    keep: str = UNTIL_WANTED
    download: str = field(default=NO_DOWNLOAD, compare=False)
    adapters: tuple[Adapter, ...] = ()

    def __post_init__(self) -> None:
        allowed = {
            "dtype": DTYPES,
            "attention": ATTENTION,
            "quantization": QUANTIZATION,
            "device": DEVICES,
            "engine": ENGINES,
            "context": CONTEXTS,
            "keep": KEEPING,
            "download": SOURCES,
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}.", f"Choose one of {', '.join(choices)}."
                )
