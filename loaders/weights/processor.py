"""Reads a checkpoint's processor: tokenizer, chat template and picture settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...utils.chat.sampling import Edition
from ...utils.errors import LoadError
from ...utils.text.thinking import THINK_START
from ..checkpoint.inspection import Checkpoint
from ..checkpoint.single_file import TOKENS
from ..host.port import host

# The official one, for files that come without.
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
# In Qwen3's vocabulary, but not in Qwen2.5's that ComfyUI ships; in the order of their ids.
LATER_TOKENS = ("<tool_response>", "</tool_response>", "<think>", "</think>")
FIRST_LATER_ID = 151_665


def read_processor(checkpoint: Checkpoint) -> Any:
    """The checkpoint's tokenizer, chat template and picture settings.

    Raises:
        LoadError: transformers cannot read them.
    """
    from transformers import AutoProcessor

    from .chat_template import bound_template

    if checkpoint.is_file:
        return processor_for_file(host().tokenizer_folder())
    try:
        processor = AutoProcessor.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
        bound_template(processor)
        # What the engines need of it, before the weights and not after them.
        edition_of(processor)
        if processor.tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no token that ends an answer")
        return processor
    except LoadError:
        raise
    # transformers, tokenizers and Jinja each have errors of their own.
    except Exception as error:
        raise LoadError(
            f"The tokenizer, chat template or picture settings of {checkpoint.folder} cannot be "
            f"read ({type(error).__name__}: {error}).",
            "Download its small files again, and see that torchvision matches your torch.",
        ) from error


def edition_of(processor: Any) -> Edition:
    """Thinking editions are known by a chat template that opens the thinking block itself."""
    probe = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    rendered = processor.apply_chat_template(probe, tokenize=False, add_generation_prompt=True)
    return "thinking" if rendered.rstrip().endswith(THINK_START) else "instruct"


def processor_for_file(tokenizer_folder: Path) -> Any:
    """The official processor: ComfyUI's vocabulary, the official template and picture settings.

    Raises:
        LoadError: this ComfyUI has no such vocabulary.
    """
    from transformers import AutoTokenizer, Qwen2VLImageProcessor, Qwen3VLProcessor
    from transformers import Qwen3VLVideoProcessor as VideoProcessor

    if not (tokenizer_folder / "vocab.json").is_file():
        raise LoadError(
            f"This ComfyUI has no tokenizer at {tokenizer_folder}.",
            "Update ComfyUI, or choose a checkpoint folder instead of a single file.",
        )
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    if len(tokenizer) == FIRST_LATER_ID:
        tokenizer.add_tokens(list(LATER_TOKENS))
    if tokenizer.convert_tokens_to_ids("<|image_pad|>") != TOKENS["image_token_id"]:
        raise LoadError(
            f"The tokenizer at {tokenizer_folder} is of another model.", "Update ComfyUI."
        )
    tokenizer.chat_template = TEMPLATE.read_text("utf-8")
    sizes = {"patch_size": 16, "merge_size": 2, "temporal_patch_size": 2}
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    image = Qwen2VLImageProcessor(
        size={"shortest_edge": 65_536, "longest_edge": 16_777_216}, **sizes, **half
    )
    video = VideoProcessor(
        size={"shortest_edge": 4096, "longest_edge": 25_165_824}, **sizes, **half
    )
    return Qwen3VLProcessor(image, tokenizer, video, chat_template=tokenizer.chat_template)
