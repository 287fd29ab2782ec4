"""The chat template writes exactly what the official Qwen3-VL template writes."""

# ruff: noqa: E501 (prompts are quoted whole)
import pytest
from checkpoint.checkpoint_files import CHECKPOINT

TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}
TOOL_HEAD = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with "
    "function signatures within <tools></tools> XML tags:\n<tools>\n"
    '{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {}}}'
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": '
    "<args-json-object>}\n</tool_call><|im_end|>\n"
)
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
CLIP = "<|vision_start|><|video_pad|><|vision_end|>"


def text(words):
    return {"type": "text", "text": words}


IMAGE, VIDEO = {"type": "image"}, {"type": "video"}
CASES = {
    "user": ([{"role": "user", "content": "Hi"}], {}, "<|im_start|>user\nHi<|im_end|>\n"),
    "no default system, generation prompt": (
        [{"role": "user", "content": [text("Hi")]}],
        {"add_generation_prompt": True},
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    ),
    "system": (
        [
            {"role": "system", "content": [text("Be "), text("brief.")]},
            {"role": "user", "content": [IMAGE, text("?")]},
        ],
        {},
        f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{PICTURE}?<|im_end|>\n",
    ),
    "pictures are numbered through the chat": (
        [
            {"role": "user", "content": [IMAGE, IMAGE, text("a")]},
            {"role": "assistant", "content": [text("b")]},
            {"role": "user", "content": [text("c"), IMAGE]},
        ],
        {"add_vision_id": True},
        f"<|im_start|>user\nPicture 1: {PICTURE}Picture 2: {PICTURE}a<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        f"<|im_start|>user\ncPicture 3: {PICTURE}<|im_end|>\n",
    ),
    "clip": (
        [{"role": "user", "content": [VIDEO, text("a")]}],
        {"add_vision_id": True},
        f"<|im_start|>user\nVideo 1: {CLIP}a<|im_end|>\n",
    ),
    "tools": (
        [{"role": "user", "content": "a"}],
        {"tools": [TOOL]},
        f"<|im_start|>system\n{TOOL_HEAD}<|im_start|>user\na<|im_end|>\n",
    ),
    "tools after a system prompt": (
        [{"role": "system", "content": "S"}, {"role": "user", "content": "a"}],
        {"tools": [TOOL]},
        f"<|im_start|>system\nS\n\n{TOOL_HEAD}<|im_start|>user\na<|im_end|>\n",
    ),
    "tool calls and responses": (
        [
            {"role": "user", "content": "a"},
            {
                "role": "assistant",
                "content": "b",
                "tool_calls": [
                    {"type": "function", "function": {"name": "look", "arguments": {"x": 1}}},
                    {"name": "look", "arguments": '{"x": 2}'},
                ],
            },
            {"role": "tool", "content": "one"},
            {"role": "tool", "content": [IMAGE, text("two")]},
        ],
        {"add_generation_prompt": True},
        '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb\n<tool_call>\n{"name": "look", "arguments": '
        '{"x": 1}}\n</tool_call>\n<tool_call>\n{"name": "look", "arguments": {"x": 2}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n<tool_response>\n"
        f"{PICTURE}two\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
    ),
}


@pytest.fixture(scope="module")
def processor():
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.mark.parametrize("case", list(CASES))
def test_rendering(case, processor):
    messages, options, wanted = CASES[case]
    assert processor.apply_chat_template(messages, tokenize=False, **options) == wanted
    assert processor.tokenizer.apply_chat_template(messages, tokenize=False, **options) == wanted
