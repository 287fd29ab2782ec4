"""A request on its way to an outcome, and the rules that hold for all of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from ....utils.chat.requests import Request
from .answers import Writing
from .origins import FIRST_PAUSE_S, Origin
from .payload import Payload
from .verdicts import Trouble

# So long all servers may be away before what is asked of them fails; a restart takes less.
PATIENCE_S = 180.0


@dataclass(slots=True, eq=False)
class Sending:
    """One request on its way to an outcome."""

    index: int
    request: Request
    stream: bool
    size_bytes: int
    deadline: float
    payload: Payload | None = None
    tries: int = 0
    not_before: float = 0.0
    last: Trouble | None = None
    last_origin: Origin | None = None
    writing: Writing = field(default_factory=Writing)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every request of a run; the pauses are shorter in tests."""

    server: str
    key: str
    timeout_s: float
    patience_s: float = PATIENCE_S
    first_pause_s: float = FIRST_PAUSE_S
