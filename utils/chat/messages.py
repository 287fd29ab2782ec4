"""One turn of a chat: who speaks, and the text, pictures and films in reading order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import InputError
from ..images.picture import Clip, Picture

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = ("system", "user", "assistant", "tool")


Part = str | Picture | Clip


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: text, pictures and clips in the order the model reads them."""

    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InputError(f"{self.role!r} is not a role.", f"Use one of {', '.join(ROLES)}.")
