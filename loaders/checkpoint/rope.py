"""How many tokens a model holds, and the rotary settings that make it so."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ...utils.errors import LoadError
from ..settings import NATIVE, YARN

# Qwen's own numbers for a million tokens. The factor is smaller than 1,000,000 / 262,144,
# because pictures take fewer positions than tokens.
YARN_FACTOR = 3.0
YARN_CONTEXT, YARN_NATIVE = 1_000_000, 262_144
# What a config says that leaves positions as they are; "mrope" is an older name.
UNSTRETCHED = ("default", "mrope")


def context_tokens(native: int, choice: str) -> int:
    """Tokens that fit, prompt and answer together, for a loader choice."""
    return native if choice != YARN else native * YARN_CONTEXT // YARN_NATIVE


def read_rope(text: Mapping[str, Any], head_dim: int, where: str) -> str:
    """How a config stretches positions: a kind that transformers knows, "default" for not at all.

    Raises:
        LoadError: what it says is no object; `where` names the file.
    """
    ropes = {key: text.get(key) or {} for key in ("rope_scaling", "rope_parameters")}
    for key, rope in ropes.items():
        if not isinstance(rope, dict):
            raise LoadError(
                f"{key} in {where} is {str(rope)[:40]!r}, not an object.",
                "Get config.json again from where the checkpoint came from.",
            )
        section = rope.get("mrope_section")
        if section is not None and not _is_section(section, head_dim):
            raise LoadError(
                f"{key} in {where} has the mrope_section {str(section)[:40]}, but a head has "
                f"{head_dim // 2} pairs of numbers to share out.",
                "Get config.json again from where the checkpoint came from.",
            )
    kinds = [rope.get("rope_type") or rope.get("type") for rope in ropes.values()]
    stretched = [str(kind)[:40] for kind in kinds if kind not in (None, *UNSTRETCHED)]
    return stretched[0] if stretched else "default"


def _is_section(section: Any, head_dim: int) -> bool:
    """Shares of time, height and width in a head's rotation."""
    numbers = isinstance(section, list) and all(type(n) is int and n >= 0 for n in section)
    return numbers and len(section) == 3 and sum(section) == head_dim // 2


def stretched_by(rope: str, choice: str) -> str:
    """The kind of positions that a loader choice makes of a checkpoint's own kind."""
    return "yarn" if choice == YARN else rope


def check_context(rope: str, native: int, choice: str) -> None:
    """Refuse to stretch what is stretched already.

    Raises:
        LoadError: YaRN was chosen for a checkpoint whose config.json says how to stretch it.
    """
    if choice == YARN and rope != "default":
        raise LoadError(
            f"Context {YARN} was chosen, but the checkpoint's config.json stretches the context "
            f"itself ({rope}), to {native:,} tokens.",
            f"Choose context {NATIVE}.",
        )


def with_context(config: Mapping[str, Any], choice: str, transformers_major: int) -> dict[str, Any]:
    """A copy of config.json's content for the installed transformers and the chosen context.

    transformers 4 reads `rope_scaling` and `rope_theta`, transformers 5 `rope_parameters`; each
    saves its own, so a fine-tune may have either. Unread keys would silently mean defaults.
    """
    changed = copy.deepcopy(dict(config))
    text = changed["text_config"]
    rope = {**(text.pop("rope_scaling", None) or {}), **(text.pop("rope_parameters", None) or {})}
    if "rope_theta" in text:
        rope.setdefault("rope_theta", text.pop("rope_theta"))
    if choice == YARN:
        native = text["max_position_embeddings"]
        rope |= {
            "rope_type": "yarn",
            "factor": YARN_FACTOR,
            "original_max_position_embeddings": native,
        }
        rope.pop("type", None)
        text["max_position_embeddings"] = context_tokens(native, choice)
    rope.setdefault("rope_type", rope.get("type", "default"))
    if transformers_major >= 5:
        text["rope_parameters"] = rope
    else:
        if "rope_theta" in rope:
            text["rope_theta"] = rope.pop("rope_theta")
        text["rope_scaling"] = rope
        # transformers 5 writes these two under new names.
        if "num_local_experts" in text:
            text["num_experts"] = text.pop("num_local_experts")
        if "dtype" in changed:
            changed.setdefault("torch_dtype", changed["dtype"])
    return changed
