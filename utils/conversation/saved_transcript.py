"""A conversation as versioned JSON, pictures and clips included, and back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from ..chat.messages import Part
from ..errors import InputError
from ..images.picture import Clip, Picture
from .picture_shelf import PictureShelf
from .transcript import Chat, Turn

FORMAT, VERSION = "qwen3vl-chat", 1
# A saved chat is data from outside: what it may make this machine do is bounded.
MAX_CHAT_BYTES = 1 << 30
MAX_TURNS, MAX_PARTS, MAX_VISUALS, MAX_FRAMES = 10_000, 10_000, 2_000, 10_000
MAX_PIXELS = 1_000_000_000
_FIELDS = ("format", "version", "system_prompt", "forgotten", "turns", "pictures", "clips")
_CLIP_FIELDS = ("frames", "source_fps", "indices", "total_frames", "seconds", "keep_size")


def to_json(chat: Chat) -> str:
    """The chat as JSON text; a picture that several turns show is stored once, lossless."""
    shelf = PictureShelf()
    turns = [
        {
            "asked": [shelf.part(part) for part in turn.asked],
            "answer": turn.answer,
            "thinking": turn.thinking,
        }
        for turn in chat.turns
    ]
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "system_prompt": chat.system_prompt,
        "forgotten": chat.forgotten,
        "turns": turns,
        "pictures": shelf.pictures,
        "clips": shelf.clips,
    }
    return json.dumps(whole, ensure_ascii=False, indent=1)


def from_json(text: str, name: str) -> Chat:
    """The chat that `to_json` wrote, or that somebody edited since.

    Args:
        text: the whole file.
        name: what to call it in an error.

    Raises:
        InputError: it is no such chat, of a newer version, or damaged; with the place in it.
    """
    return _Reader(name).chat(_parsed(text, name))


class _Reader:
    """Reads one saved chat; every error names the file and the place in it."""

    def __init__(self, name: str):
        self._name = name
        self._pixels_left = MAX_PIXELS

    def chat(self, whole: Any) -> Chat:
        """The whole chat, once its format and version are known to be ours."""
        values = self._fields(whole, _FIELDS, "the file", optional=_FIELDS)
        if values.get("format") != FORMAT:
            raise InputError(
                f"{self._name} is no saved Qwen3-VL chat: its format is "
                f"{str(values.get('format'))[:40]!r}.",
                f"Choose a file that Save Chat wrote (format {FORMAT!r}).",
            )
        version = self._whole(values.get("version"), 1, 1_000_000, "version")
        if version > VERSION:
            raise InputError(
                f"{self._name} was saved as version {version} by a newer release; this one reads "
                f"up to {VERSION}.",
                "Update this node pack.",
            )
        missing = [field for field in _FIELDS if field not in values]
        if missing:
            raise self._wrong("the file", f"lacks {', '.join(missing)}")
        pictures = [
            self._picture(one, f"pictures[{number}]")
            for number, one in enumerate(self._list(values["pictures"], MAX_VISUALS, "pictures"))
        ]
        clips = [
            self._clip(one, f"clips[{number}]")
            for number, one in enumerate(self._list(values["clips"], MAX_VISUALS, "clips"))
        ]
        shelves = {"picture": pictures, "clip": clips}
        turns = tuple(
            self._turn(one, shelves, f"turns[{number}]")
            for number, one in enumerate(self._list(values["turns"], MAX_TURNS, "turns"))
        )
        forgotten = self._whole(values["forgotten"], 0, len(turns), "forgotten")
        return Chat(self._text(values["system_prompt"], "system_prompt"), turns, forgotten)

    def _turn(self, value: Any, shelves: Mapping[str, Sequence[Any]], where: str) -> Turn:
        fields = self._fields(value, ("asked", "answer", "thinking"), where, ("thinking",))
        parts = self._list(fields["asked"], MAX_PARTS, f"{where}.asked")
        if not parts:
            raise self._wrong(f"{where}.asked", "is empty")
        return Turn(
            tuple(self._part(p, shelves, f"{where}.asked[{n}]") for n, p in enumerate(parts)),
            self._text(fields["answer"], f"{where}.answer"),
            self._text(fields.get("thinking", ""), f"{where}.thinking"),
        )

    def _part(self, value: Any, shelves: Mapping[str, Sequence[Any]], where: str) -> Part:
        if not isinstance(value, dict) or len(value) != 1:
            raise self._wrong(where, "is not one of text, picture, clip")
        ((kind, content),) = value.items()
        if kind == "text":
            return self._text(content, f"{where}.text")
        if kind not in shelves:
            raise self._wrong(where, f"is {str(kind)[:40]!r}, not text, picture or clip")
        number = self._whole(content, 0, len(shelves[kind]) - 1, f"{where}.{kind}")
        return shelves[kind][number]

    def _picture(self, value: Any, where: str) -> Picture:
        fields = self._fields(value, ("png",), where)
        return Picture(self._pixels(fields["png"], f"{where}.png"))

    def _clip(self, value: Any, where: str) -> Clip:
        fields = self._fields(value, _CLIP_FIELDS, where)
        frames = [
            self._pixels(one, f"{where}.frames[{number}]")
            for number, one in enumerate(self._list(fields["frames"], MAX_FRAMES, where))
        ]
        if not frames or len({frame.shape for frame in frames}) != 1:
            raise self._wrong(f"{where}.frames", "is empty, or its frames differ in size")
        total = self._whole(fields["total_frames"], 1, 1 << 40, f"{where}.total_frames")
        indices = tuple(
            self._whole(one, 0, total - 1, f"{where}.indices[{number}]")
            for number, one in enumerate(self._list(fields["indices"], MAX_FRAMES, where))
        )
        seconds = tuple(
            self._number(one, f"{where}.seconds[{number}]")
            for number, one in enumerate(self._list(fields["seconds"], MAX_FRAMES, where))
        )
        if not isinstance(fields["keep_size"], bool):
            raise self._wrong(f"{where}.keep_size", "is neither true nor false")
        fps = self._number(fields["source_fps"], f"{where}.source_fps")
        return Clip(np.stack(frames), fps, indices, total, seconds, fields["keep_size"])

    def _number(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(where, "is no number")
        return float(value)

    def _pixels(self, value: Any, where: str) -> np.ndarray:
        """A PNG's pixels, uint8 [height, width, 3]; its size is known before it is decoded."""
        from PIL import Image

        try:
            data = base64.b64decode(self._text(value, where), validate=True)
            with Image.open(BytesIO(data), formats=["PNG"]) as image:
                self._pixels_left -= image.size[0] * image.size[1]
                if self._pixels_left >= 0:
                    return np.ascontiguousarray(image.convert("RGB"))
                problem = f"brings the pixels of the chat above {MAX_PIXELS:,}"
        except InputError:
            raise
        except (binascii.Error, ValueError):
            problem = "is no base64"
        # Pillow raises almost anything on a broken picture.
        except Exception as error:
            problem = f"is no readable PNG ({type(error).__name__})"
        raise self._wrong(where, problem)

    def _fields(
        self, value: Any, known: Sequence[str], where: str, optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, "is no object")
        if unknown := [str(key)[:40] for key in value if key not in known]:
            raise self._wrong(where, f"has {unknown[0]!r}, which means nothing here")
        if missing := [key for key in known if key not in value and key not in optional]:
            raise self._wrong(where, f"lacks {missing[0]!r}")
        return value

    def _list(self, value: Any, most: int, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise self._wrong(where, "is no list")
        if len(value) > most:
            raise self._wrong(where, f"has {len(value)} entries, more than {most}")
        return value

    def _text(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(where, "is no text")
        return value

    def _whole(self, value: Any, low: int, high: int, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(where, f"is not a whole number from {low} to {high}")
        return value

    def _wrong(self, where: str, problem: str) -> InputError:
        return InputError(
            f"{self._name} is damaged: {where} {problem}.",
            "Put it right, or save the chat again.",
        )


def _parsed(text: str, name: str) -> Any:
    if len(text) > MAX_CHAT_BYTES:
        raise InputError(f"{name} has {len(text):,} characters.", "Save a shorter chat.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        detail = str(error)[:120] if isinstance(error, ValueError) else "nested too deep"
    raise InputError(f"{name} is no JSON ({detail}).", "Choose a file that Save Chat wrote.")
