"""Collects one reply token by token: when it is complete, why, and what it says."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from ....utils.chat.requests import Reply, Request, StoppedBy
from ....utils.chat.sampling import Sampling
from ....utils.errors import GenerationError, TooLargeError
from ....utils.text.repetition import is_endless
from ....utils.text.thinking import split_thinking
from ..state.sampler import NO_TOKEN
from .prompt import PromptEncoder, check_fits
from .thinking_budget import ThinkingBudget

# Repetition and stop strings are looked for once in so many tokens, since both cost time
# proportional to the reply; a stop string found late is cut off all the same.
CHECK_EVERY = 16


@dataclass(slots=True)
class Draft:
    """A reply being written. `started` is a `time.perf_counter()` value.

    It holds `room` tokens at most, and `answer_limit` of them beside what is thought within a
    thinking budget.
    """

    encoder: PromptEncoder
    end_ids: frozenset[int]
    answer_limit: int
    room: int
    stop: tuple[str, ...]
    prompt_tokens: int
    started: float
    starts_thinking: bool = False
    budget: ThinkingBudget | None = None
    token_ids: list[int] = field(default_factory=list)
    stopped_by: StoppedBy | None = None
    first_at: float = 0.0
    last_at: float = 0.0
    broken: bool = False  # the model gave no numbers to choose a token by
    paused: bool = False  # at the end of its thinking budget: `close_thinking` goes on
    thinking_closed: bool = False
    limit: int = field(init=False)
    _thinks: bool = field(init=False)  # within a budget
    _settled: int = 0
    _settled_text: str = ""

    def __post_init__(self) -> None:
        self._thinks = self.budget is not None
        spent = self.budget.tokens + len(self.budget.closing) if self.budget is not None else 0
        self.limit = min(self.room, self.answer_limit + spent)

    @classmethod
    def begin(
        cls,
        request: Request,
        sampling: Sampling,
        encoder: PromptEncoder,
        end_ids: frozenset[int],
        *,
        context: int,
        prompt_tokens: int,
        started: float,
    ) -> Draft:
        """The empty reply to a request on a model that holds `context` tokens.

        Raises:
            ContextFullError: the prompt leaves no room for an answer.
        """
        check_fits(prompt_tokens, context, request.answer_room)
        return cls(
            encoder,
            end_ids,
            sampling.max_new_tokens,
            context - prompt_tokens,
            request.options.stop,
            prompt_tokens,
            started,
            encoder.starts_thinking(request.options),
            encoder.thinking_budget(request.options),
        )

    @property
    def horizon(self) -> int:
        """How many tokens there may be before somebody has to look: the limit, or the end of
        the thinking budget.
        """
        return min(self.limit, self.budget.tokens) if self._thinks and self.budget else self.limit

    def restart(self) -> None:
        """Forget what was written: the next token is the first one, and so is its time."""
        self.token_ids.clear()
        self.first_at = self.last_at = 0.0
        self.paused = self.thinking_closed = False
        self._settled, self._settled_text = 0, ""
        self.__post_init__()

    def add(self, token_id: int) -> bool:
        """Take the next token; True when the reply is complete with it."""
        self.broken |= token_id == NO_TOKEN
        if self.broken:
            self.stopped_by = "length"
            return True
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        if token_id in self.end_ids:
            self.stopped_by = "end"
            return True
        self.token_ids.append(token_id)
        self._watch_thinking()
        self.stopped_by = self._reason()
        return self.stopped_by is not None

    def _watch_thinking(self) -> None:
        """Notice the end of the thinking, and that of its budget."""
        if not self._thinks or self.budget is None:
            return
        count = len(self.token_ids)
        if self.budget.is_over(self.token_ids):
            self._thinks = False
            self.limit = min(self.room, count + self.answer_limit)
        # Also where it has just ended: a step beyond may be launched, which must not count.
        self.paused = count == self.budget.tokens

    def close_thinking(self) -> list[int]:
        """Go on at the end of the budget.

        Returns:
            the tokens that close the thinking, which follow those that are there; none if the
            model has just closed it itself.
        """
        self.paused = False
        if not self._thinks or self.budget is None:
            return []
        self._thinks, self.thinking_closed = False, True
        # What a full context leaves beside them is the answer's, one token at least.
        return list(self.budget.closing[: max(0, self.limit - len(self.token_ids) - 1)])

    def _reason(self) -> StoppedBy | None:
        count = len(self.token_ids)
        at_limit = count >= self.limit
        if (at_limit or count % CHECK_EVERY == 0) and self._stop_string_at() is not None:
            return "stop_string"
        if at_limit:
            return "length"
        return "repetition" if count % CHECK_EVERY == 0 and is_endless(self.token_ids) else None

    def _stop_string_at(self) -> int | None:
        if not self.stop:
            return None
        text = self.encoder.decode(self.token_ids)
        return min((at for s in self.stop if (at := text.find(s)) >= 0), default=None)

    def text(self) -> str:
        """What is written so far."""
        return self.encoder.decode(self.token_ids)

    def written(self) -> str:
        """As `text`, at the cost of the tokens that came since the last call; the last character
        may be one that is not complete.
        """
        fresh = self.encoder.decode(self.token_ids[self._settled :])
        if fresh and not fresh.endswith("\ufffd"):
            self._settled_text += fresh
            self._settled, fresh = len(self.token_ids), ""
        return self._settled_text + fresh

    def outcome(self) -> Reply | GenerationError:
        """The finished reply, or why there is none."""
        return _no_numbers() if self.broken else self.reply()

    def reply(self) -> Reply:
        """The finished reply, thinking apart, cut at the first stop string."""
        text = self.text()
        cut = self._stop_string_at()
        stopped_by = self.stopped_by or "length"
        if cut is not None:
            text, stopped_by = text[:cut], "stop_string"
        thinking, answer = split_thinking(text, self.starts_thinking)
        return Reply(
            text=answer,
            thinking=thinking,
            stopped_by=stopped_by,
            tokens=len(self.token_ids),
            prompt_tokens=self.prompt_tokens,
            seconds=max(0.0, self.last_at - self.started),
            first_token_seconds=max(0.0, self.first_at - self.started),
            thinking_closed=self.thinking_closed,
        )

    def interrupted(self) -> Reply:
        """The reply as far as it is written, for a caller who keeps it."""
        return replace(self.reply(), stopped_by="interrupt")


def _no_numbers() -> GenerationError:
    return GenerationError(
        "The model computed NaN: its numbers overflowed, or its weights are damaged.",
        "Choose dtype bf16 or fp32 in the loader; if that does not help, get the checkpoint again.",
    )


def too_large(tokens: int) -> TooLargeError:
    """What becomes of a request of so many prompt tokens that does not fit alone."""
    return TooLargeError(
        f"Out of memory for one request of {tokens} tokens.",
        "Use smaller pictures (max_picture_tokens in the options), a smaller model, or free memory "
        "and try again.",
    )
