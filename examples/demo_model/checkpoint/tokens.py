"""The tokenizer: Qwen2's byte-level layout with a small vocabulary learnt from the lessons."""

from __future__ import annotations

import random

from talks import lessons
from talks.phrasing import TASKS_FILE
from talks.tools import signature
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from world.nouns import WORDS

# Qwen2's splitting: letters with one leading mark, digits one by one, marks, line ends, spaces.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# In the order of the official vocabulary; the second value says whether decoding may skip it.
CONTROL: tuple[tuple[str, bool], ...] = (
    ("<|endoftext|>", True),
    ("<|im_start|>", True),
    ("<|im_end|>", True),
    ("<|object_ref_start|>", True),
    ("<|object_ref_end|>", True),
    ("<|box_start|>", True),
    ("<|box_end|>", True),
    ("<|quad_start|>", True),
    ("<|quad_end|>", True),
    ("<|vision_start|>", True),
    ("<|vision_end|>", True),
    ("<|vision_pad|>", True),
    ("<|image_pad|>", True),
    ("<|video_pad|>", True),
    ("<tool_call>", False),
    ("</tool_call>", False),
    ("<|fim_prefix|>", False),
    ("<|fim_middle|>", False),
    ("<|fim_suffix|>", False),
    ("<|fim_pad|>", False),
    ("<|repo_name|>", False),
    ("<|file_sep|>", False),
    ("<tool_response>", False),
    ("</tool_response>", False),
    ("<think>", False),
    ("</think>", False),
)
PLAIN_TOKENS = 2000
VOCABULARY = 2048  # with the 26 control tokens and unused rows, as the official tables have


def corpus(seed: int = 0, lessons_a_family: int = 1500) -> list[str]:
    """Questions and answers of the lessons; printed words once, so that they stay in pieces."""
    rng = random.Random(seed)
    texts = [TASKS_FILE.read_text(encoding="utf-8")] if TASKS_FILE.exists() else []
    for family in (
        "shapes",
        "several",
        "clips",
        "agent",
        "words_only",
        "printed",
        "cards",
        "pages",
    ):
        count = lessons_a_family if family == "shapes" else lessons_a_family // 5
        for _ in range(count):
            lesson = lessons.FAMILIES[family](rng, (192, 192))
            printed = family in ("printed", "cards", "pages")
            for talk in lesson.talks:
                for question, answer in talk.turns:
                    texts += [question] if printed else [question, answer]
            texts += [lesson.system or ""]
    texts += [
        str(signature(rng, mobile)).replace("'", '"') for mobile in (False, True) for _ in range(20)
    ]
    for word in WORDS:
        texts += [word, word.capitalize(), word.upper(), " " + word]
    return texts


def build(texts: list[str]) -> Tokenizer:
    """A tokenizer of PLAIN_TOKENS byte-level tokens and the control tokens after them."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=PLAIN_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            min_frequency=2,
            show_progress=False,
        ),
    )
    if tokenizer.get_vocab_size() != PLAIN_TOKENS:
        raise ValueError(
            f"The corpus gave {tokenizer.get_vocab_size()} tokens, not {PLAIN_TOKENS}."
        )
    tokenizer.add_tokens(
        [AddedToken(t, special=special, normalized=False) for t, special in CONTROL]
    )
    return tokenizer
