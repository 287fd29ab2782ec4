"""A talk in which the model may look closer: its calls become crops, until it answers.

Source: Qwen3-VL's cookbook "think_with_images": `image_zoom_in_tool` on any picture of the talk,
the crop comes back as the tool's response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..chat.generation_options import GenerationOptions
from ..chat.messages import Message, Part
from ..chat.requests import Reply, Request
from ..chat.tool_sets import official_tools, system_with_tools
from ..detection.boxes import Box
from ..errors import InputError, ParseError
from ..images.picture import Picture
from ..parsing.tool_calls import parse_tool_calls
from .actions import Action, read_actions
from .called import RESPONSE_END, RESPONSE_START
from .closer import closer, crop_region

MAX_LOOKS = 32
# So often the model is told why it gets no crop; then the talk ends without an answer.
MAX_REFUSALS = 3
# Boxes that have so much in common show the same.
SAME_IOU = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One closer look.

    Args:
        picture: which of the user's pictures it is a part of, from 0.
        region_xyxy: what was cut out, in pixels of that picture; x2, y2 exclusive.
        label: what the model wanted to see.
        crop: what it was shown.
        index: the number of the crop among all pictures of the talk.
    """

    picture: int
    region_xyxy: tuple[int, int, int, int]
    label: str
    crop: Picture
    index: int


class ZoomTalk:
    """The messages of one talk. Ask `request()`, `take` the reply, until `done`.

    Args:
        pictures: one or more; the model counts them from 0, crops after them.
        question: what it is asked.
        most: how many closer looks it may take.
        system_prompt: what it is told before the tool.
        options: of every request.
        seed: of the first request; each step counts it up.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        question: str,
        most: int,
        system_prompt: str = "",
        options: GenerationOptions | None = None,
        seed: int = 0,
    ):
        if not pictures or not question.strip():
            raise InputError("There is no picture or no question.", "Give both.")
        if not 0 <= most <= MAX_LOOKS:
            raise InputError(f"{most} closer looks cannot be allowed.", f"Give 0 to {MAX_LOOKS}.")
        self._tool = official_tools()["image_zoom_in_tool"]
        self._options, self._seed, self._most = options or GenerationOptions(), seed, most
        system = system_with_tools((self._tool,), system_prompt) if most else system_prompt
        opening = (Message("system", (system,)),) if system.strip() else ()
        self.messages = [*opening, Message("user", (*pictures, question.strip()))]
        self.pictures = tuple(pictures)
        self.looks: list[Look] = []
        self.replies: list[Reply] = []
        self.lines: list[str] = [f"user: {question.strip()}"]
        self.notes: list[str] = []
        self.answer, self.done, self._refused = "", False, 0

    def request(self) -> Request:
        """The talk so far, for the model to go on with."""
        seed = (self._seed + len(self.replies)) & 0xFFFF_FFFF_FFFF_FFFF
        # "Picture 1:" before each would be off by one: the tool counts from 0.
        return Request(tuple(self.messages), self._options, seed, number_pictures=False)

    def take(self, reply: Reply) -> None:
        """The model's next turn: an answer, or calls that get their responses."""
        self.replies.append(reply)
        try:
            answer = parse_tool_calls(reply.text)
        except ParseError as error:
            return self._finish("", f"unreadable: {error.problem}")
        self.lines.append(f"model: {reply.text.strip()}")
        actions = read_actions(answer, (self._tool,))
        if reply.truncated or answer.truncated:
            return self._finish(answer.words, "the reply was cut off")
        if not actions and not answer.problems:
            return self._finish(answer.words or reply.text)
        if self._refused >= MAX_REFUSALS:
            return self._finish(answer.words, "it went on calling the tool and gave no answer")
        responses = [self._response(action) for action in actions]
        responses += [self._refuse(f"Error: {problem}.") for problem in answer.problems]
        self.messages.append(Message("assistant", (reply.text.strip(),)))
        self.messages.append(Message("user", tuple(self._wrapped(responses))))
        return None

    def _finish(self, words: str, note: str = "") -> None:
        self.answer, self.done = words.strip(), True
        if note:
            self.notes.append(note)
            self.lines.append(f"({note})")

    def _wrapped(self, responses: Sequence[tuple[Part, ...]]) -> list[Part]:
        """Each response between its marks, as the chat template writes a tool's turn."""
        parts: list[Part] = []
        for number, response in enumerate(responses):
            parts += ["\n" * bool(number) + RESPONSE_START, *response, RESPONSE_END]
        return parts

    def _response(self, action: Action) -> tuple[Part, ...]:
        """What the tool answers to one call: a crop, or words that say why there is none."""
        if not action.valid or action.box is None:
            return self._refuse(f"Error: {action.problem or 'there is no bbox_2d.'}")
        if len(self.looks) >= self._most:
            return self._refuse("You cannot look closer any more. Answer the question now.")
        wanted = action.arguments.get("img_idx", 0)
        index = int(wanted) if wanted == int(wanted) else -1
        if not 0 <= index < len(self.pictures) + len(self.looks):
            last = len(self.pictures) + len(self.looks) - 1
            return self._refuse(f"Error: there is no image {wanted:g}; they go from 0 to {last}.")
        root, region = self._on_root(index, action.box)
        again = self._seen(root, region)
        if again is not None:
            note = f"You have looked at this region already: it is image {again.index}. "
            return self._refuse(note + "Answer the question, or look somewhere else.")
        crop = closer(self.pictures[root], region)
        index = len(self.pictures) + len(self.looks)
        label = str(action.arguments.get("label", ""))
        self.looks.append(Look(root, region, label, crop, index))
        self.lines.append(f"tool: image {index}, a part of image {root}: {list(region)}")
        return (crop,)

    def _refuse(self, words: str) -> tuple[Part, ...]:
        self._refused += 1
        self.notes.append(words)
        self.lines.append(f"tool: {words}")
        return (words,)

    def _on_root(self, index: int, box: Box) -> tuple[int, tuple[int, int, int, int]]:
        """A box on any picture of the talk as a region of the user's picture under it."""
        if index < len(self.pictures):
            return index, crop_region(box, *self.pictures[index].size_wh)
        look = self.looks[index - len(self.pictures)]
        left, top, right, bottom = look.region_xyxy
        width, height = self.pictures[look.picture].size_wh
        inside = Box.from_pixels(
            left + box.x1 * (right - left),
            top + box.y1 * (bottom - top),
            left + box.x2 * (right - left),
            top + box.y2 * (bottom - top),
            width,
            height,
        )
        return look.picture, crop_region(inside, width, height)

    def _seen(self, picture: int, region_xyxy: tuple[int, int, int, int]) -> Look | None:
        size_wh = self.pictures[picture].size_wh
        box = Box.from_pixels(*region_xyxy, *size_wh)
        for look in self.looks:
            same = Box.from_pixels(*look.region_xyxy, *size_wh)
            if look.picture == picture and same.iou(box) >= SAME_IOU:
                return look
        return None
