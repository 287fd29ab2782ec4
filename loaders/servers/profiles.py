"""Servers by name: where each is, and how to speak to it. No workflow can name another place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...utils.errors import InputError
from ...utils.images.resize import DEFAULT_MAX_PIXELS
from ..host.owner_folders import OWNER_PATH
from ..host.owner_settings import owner_settings
from .dialects.known import DIALECTS

# Whole seconds for one answer, waiting and tries included; a long one on a CPU takes minutes.
DEFAULT_SECONDS = 600
PIXELS = (32 * 32, 16_384 * 32 * 32)
RANGES = {
    "timeout_s": (1, 86_400),
    "in_flight": (1, 1024),
    "context": (256, 10_000_000),
    "min_pixels": PIXELS,
    "max_pixels": PIXELS,
}
PICTURES = ("png", "jpeg", "bmp")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EDITIONS = ("instruct", "thinking")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DASHSCOPE = "https://dashscope.aliyuncs.com/compatible-mode/v1"


@dataclass(frozen=True, slots=True)
class Profile:
    """One server, or several alike that are used together.

    `origins` are base addresses without `/chat/completions`. An empty `model` or `dialect` is
    asked of the server; `in_flight` 0 finds out how many requests it answers at once; `context`
    0 takes what the server says. `key_variable` names an environment variable. Pictures are made
    to fit `min_pixels` and `max_pixels` before they are sent: the limits of the checkpoint. They
    are sent as `pictures` says; where it is empty with every value kept, in the quickest form.
    """

    name: str
    origins: tuple[str, ...]
    model: str = ""
    key_variable: str = ""
    dialect: str = ""
    timeout_s: int = DEFAULT_SECONDS
    in_flight: int = 0
    pictures: str = ""
    edition: str = ""
    context: int = 0
    min_pixels: int = 256 * 256
    max_pixels: int = DEFAULT_MAX_PIXELS

    @property
    def on_this_machine(self) -> bool:
        """Whether nothing that is sent leaves the machine."""
        return all(urlsplit(origin).hostname in LOOPBACK for origin in self.origins)

    def key(self) -> str:
        """The key, out of the environment; "" where none is wanted.

        Raises:
            InputError: the variable is not set, or holds what no header can.
        """
        if not self.key_variable:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise InputError(
                f"The server {self.name!r} wants a key, but {self.key_variable} is not set.",
                f"Set the environment variable {self.key_variable} before ComfyUI starts.",
            )
        if not all("!" <= letter <= "~" for letter in key):
            raise InputError(
                f"The key in {self.key_variable} has a space or a letter that no key has.",
                "Copy it again, without quotes or line breaks.",
            )
        return key


def _at(port: int, name: str, dialect: str) -> Profile:
    return Profile(name, (f"http://127.0.0.1:{port}",), dialect=dialect)


# Stored in workflows: append only. Where each listens unless told otherwise.
BUILT_IN: tuple[Profile, ...] = (
    _at(8000, "vLLM", "vllm"),
    _at(30000, "SGLang", "sglang"),
    _at(8080, "llama.cpp", "llama_cpp"),
    _at(1234, "LM Studio", "lm_studio"),
    _at(11434, "Ollama", "ollama"),
    Profile(
        "DashScope",
        (_DASHSCOPE,),
        "qwen3-vl-plus",
        "DASHSCOPE_API_KEY",
        "dashscope",
        pictures="jpeg",
    ),
)


def names() -> list[str]:
    """The menu: servers of the owner, then those that are known without one."""
    own = [name for name, _ in owner_settings().servers]
    return [*own, *(p.name for p in BUILT_IN if p.name not in own)]


def profile(name: str) -> Profile:
    """A server by its name in the menu; the owner's word counts more than a built-in one.

    Raises:
        InputError: there is none of this name, or its entry is wrong.
    """
    owner = owner_settings()
    for own, entry in owner.servers:
        if own == name:
            return profile_of(name, entry, f"{OWNER_PATH.name}: [servers.{name}]")
    found = next((p for p in BUILT_IN if p.name == name), None)
    if found is None and owner.problem is not None:
        raise owner.problem
    if found is None:
        raise InputError(
            f"There is no server {name!r} here.",
            f"Choose one from the menu, or add [servers.{name}] to {OWNER_PATH.name}.",
        )
    return found


def profile_of(name: str, entry: Mapping[str, Any], where: str) -> Profile:
    """An entry of the owner's file, checked; `where` begins what is said about mistakes.

    Raises:
        InputError: a value that has no meaning here.
    """
    one, several = entry.get("origin"), entry.get("origins")
    listed = several if one is None else [one]
    if (one is None) == (several is None) or not isinstance(listed, list) or not listed:
        raise InputError(
            f"{where} needs an origin, or a list of origins.",
            "Write origin = 'http://127.0.0.1:8000', or origins = ['http://a:8000', …].",
        )
    for key, choices in (("dialect", DIALECTS), ("pictures", PICTURES), ("edition", EDITIONS)):
        if key in entry and entry[key] not in choices:
            raise InputError(
                f"{where} has {key} = {entry[key]!r:.80}.", f"It can be {', '.join(choices)}."
            )
    for key, (low, high) in RANGES.items():
        value = entry.get(key, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"{where} has {key} = {value!r:.80}.", f"It can be a number from {low} to {high}."
            )
    if entry.get("min_pixels", 0) > entry.get("max_pixels", PIXELS[1]):
        raise InputError(f"{where} has a min_pixels above its max_pixels.", "Turn them round.")
    variable = entry.get("key_variable", "")
    if variable and not (isinstance(variable, str) and _VARIABLE.fullmatch(variable)):
        raise InputError(  # the value may be the key itself: it is not said
            f"{where} has a key_variable that is no name of a variable.",
            "Write the name of an environment variable, such as VLLM_API_KEY, never the key.",
        )
    model = entry.get("model", "")
    if not isinstance(model, str):
        raise InputError(f"{where} has model = {model!r:.80}.", "Write its name in quotes.")
    rest = {k: v for k, v in entry.items() if k not in ("origin", "origins")}
    origins = tuple(checked_origin(text, where) for text in listed)
    return Profile(name, tuple(dict.fromkeys(origins)), **rest)


def checked_origin(text: Any, where: str) -> str:
    """A base address as it is used, ending in the version of the interface, such as `/v1`.

    Raises:
        InputError: anything but http(s)://host[:port][/path].
    """
    try:
        parts = urlsplit(text if isinstance(text, str) else "")
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    printable = isinstance(text, str) and all("!" <= letter <= "~" for letter in text)
    if not host or not printable or parts.scheme not in ("http", "https"):
        raise InputError(
            f"{where} has an origin that is no address.",
            "Write it from the start, such as 'http://127.0.0.1:8000'.",
        )
    if parts.username is not None or parts.query or parts.fragment or "\\" in text:
        raise InputError(
            f"{where} has an origin with more than a host, a port and a path.",
            "Leave out user, password, ? and #; a key goes into the variable of key_variable.",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "") + parts.path.rstrip("/")
