"""How long a reply may think before its thinking is closed and it has to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....utils.text.thinking import CLOSING, THINK_END


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """`tokens` that may be thought; `end` are those by which a model ends its thinking itself,
    `closing` those that are put there when the budget is spent.
    """

    tokens: int
    end: tuple[int, ...]
    closing: tuple[int, ...]

    @classmethod
    def of(cls, tokens: int, tokenizer: Any) -> ThinkingBudget:
        """The budget in a tokenizer's own tokens."""

        def ids(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

        return cls(tokens, ids(THINK_END), ids(CLOSING))

    def is_over(self, token_ids: Sequence[int]) -> bool:
        """Whether these tokens end with the mark that ends thinking."""
        return tuple(token_ids[-len(self.end) :]) == self.end
