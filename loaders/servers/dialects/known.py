"""The list of dialects; a new one is its file and a line here."""

from __future__ import annotations

from .dashscope import DASHSCOPE
from .dialect import Answers, Dialect
from .llama_cpp import LLAMA_CPP
from .lm_studio import LM_STUDIO
from .ollama import OLLAMA
from .openai_style import OPENAI_STYLE
from .sglang import SGLANG
from .transformers_serve import TRANSFORMERS_SERVE
from .vllm import VLLM

# In the order in which they are looked for: the last one is any.
DIALECTS: dict[str, Dialect] = {
    dialect.id: dialect
    for dialect in (
        VLLM,
        SGLANG,
        LLAMA_CPP,
        LM_STUDIO,
        OLLAMA,
        DASHSCOPE,
        TRANSFORMERS_SERVE,
        OPENAI_STYLE,
    )
}


def recognised_dialect(answers: Answers) -> Dialect | None:
    """The dialect of a server by what it answered; None where it answers like none."""
    return next((d for d in DIALECTS.values() if d.recognised(answers)), None)
