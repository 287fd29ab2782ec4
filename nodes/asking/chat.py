"""Chat: a conversation with pictures, as a chain of nodes or remembered between runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io

from ...loaders.engine.protocol import Model
from ...utils.agents.called import tool_response
from ...utils.chat.composition import numbers_pictures
from ...utils.chat.generation_options import GenerationOptions
from ...utils.chat.placeholders import placed
from ...utils.chat.requests import Reply, Request
from ...utils.conversation.remembered_chats import RememberedChats
from ...utils.conversation.transcript import Chat
from ...utils.errors import ContextFullError, InputError
from ...utils.images.masking import SHOW
from ...utils.images.picture import Picture
from ..forms import sockets
from ..forms.search_words import search_words
from ..forms.widgets import seed_input
from ..forms.widgets_asking import (
    all_pictures,
    growing_images,
    growing_masks,
    interrupt_input,
    keeps,
    max_new_tokens_input,
    own_limit,
    vision_ids_input,
)
from ..shared.running import answer_all, node_id_of, report

# What becomes of the chat that is there. Stored in workflows: append only.
CONTINUE, NEW, AGAIN = "ask", "start anew and ask", "ask instead of the last question"
UNDO, EDIT, ONLY_SHOW = "undo the last turn", "replace the last answer", "only show"
RESULT = "hand back a tool's result"
TURNS = (CONTINUE, NEW, AGAIN, UNDO, EDIT, ONLY_SHOW, RESULT)
# A full context forgets turns until so many tokens are free for the answer, or fewer where fewer
# are wanted.
ANSWER_ROOM = 512

REMEMBERED = RememberedChats()


class Qwen3VLChat(io.ComfyNode):
    """Asks one more question of a conversation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLChat",
            display_name="Qwen3-VL Chat",
            category=sockets.CATEGORY,
            description="One turn of a conversation that keeps its pictures. Link chat to chat for "
            "a chain of questions, or switch remember on: then every run asks one more.",
            search_aliases=search_words("Qwen3VLChat"),
            inputs=[
                sockets.Model.Input("model"),
                io.String.Input("question", multiline=True, default="What is in this picture?"),
                io.String.Input(
                    "system_prompt", multiline=True, default="", advanced=True,
                    tooltip="What the model is told before the conversation. Empty: what the chat "
                    "has already.",
                ),
                seed_input(),
                io.Combo.Input(
                    "turn", options=list(TURNS), default=CONTINUE,
                    tooltip="Undoing and showing ask nothing; replacing takes the question as the "
                    "right answer. A tool's result is what a tool that the model called has given.",
                ),
                io.Boolean.Input(
                    "remember", default=False,
                    tooltip="Where no chat is linked, go on with what this node said before. "
                    "Every run of the queue is then a turn.",
                ),
                growing_images(optional=True),
                sockets.Chat.Input("chat", optional=True),
                sockets.Options.Input("options", optional=True),
                vision_ids_input(),
                max_new_tokens_input(),
                interrupt_input(),
                *growing_masks(),
            ],
            outputs=[
                io.String.Output("text", display_name="text"),
                io.String.Output("thinking", display_name="thinking"),
                io.String.Output("report", display_name="report"),
                sockets.Chat.Output("chat_out", display_name="chat"),
                io.String.Output("transcript", display_name="transcript"),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, remember: bool = False, **_: Any) -> object:
        """A node that remembers runs whenever it is queued: the same question is a new turn."""
        return float("nan") if remember else ""

    @classmethod
    def execute(
        cls,
        model: Model,
        question: str,
        system_prompt: str,
        seed: int,
        turn: str,
        remember: bool,
        images: Mapping[str, torch.Tensor] | None = None,
        chat: Chat | None = None,
        options: GenerationOptions | None = None,
        vision_ids: str = "",
        max_new_tokens: int = 0,
        on_interrupt: str = "",
        masks: Mapping[str, torch.Tensor] | None = None,
        mask_use: str = SHOW,
    ) -> io.NodeOutput:
        """Turn the chat back as wanted, ask, and go on remembering it."""
        name = _name(cls) if remember and chat is None else None
        before = chat if chat is not None else REMEMBERED.get(name) if name else Chat()
        base = _turned(before, turn, question)
        if system_prompt.strip():
            base = replace(base, system_prompt=system_prompt.strip())
        reply, lines = None, []
        if turn in (CONTINUE, NEW, AGAIN, RESULT):
            pictures = all_pictures(_listed(images), _listed(masks), mask_use)
            parts, again = _asked(base, question, pictures)
            parts = tool_response(parts) if turn == RESULT else parts
            if again:
                lines.append(f"{again} of its pictures the chat has already: not shown again")
            asker = _Asker(model, own_limit(options, max_new_tokens), seed, vision_ids)
            base, reply = asker.ask(base, parts, node_id_of(cls), keeps(on_interrupt))
            base = base.answered(parts, reply.text, reply.thinking)
        if name:
            REMEMBERED.put(name, base)
        return _output(base, reply, lines)


class _Asker:
    """Puts a question, and forgets old turns where the context is full."""

    def __init__(self, model: Model, options: GenerationOptions | None, seed: int, vision_ids: str):
        self._model, self._seed, self._vision_ids = model, seed, vision_ids
        self._options = options or GenerationOptions()

    def ask(
        self, chat: Chat, parts: tuple[Any, ...], node_id: str | None, keep: bool
    ) -> tuple[Chat, Reply]:
        """The chat as far as it was read, and the reply.

        Raises:
            ContextFullError: the question alone does not fit.
        """
        while True:
            try:
                return chat, answer_all(self._model, [self._request(chat, parts)], node_id, keep)[0]
            except ContextFullError as error:
                if chat.forgotten == len(chat.turns):
                    raise
                excess = error.excess
            chat = chat.forgetting(excess)

    def _request(self, chat: Chat, parts: tuple[Any, ...]) -> Request:
        own = sum(isinstance(part, Picture) for part in parts)
        return Request(
            chat.asking(parts),
            self._options,
            self._seed,
            numbers_pictures(self._vision_ids, chat.pictures + own),
            answer_room=min(ANSWER_ROOM, self._options.max_new_tokens or ANSWER_ROOM),
        )


def _turned(chat: Chat, turn: str, question: str) -> Chat:
    """The chat that is asked, shown or kept."""
    if turn == NEW:
        return Chat(chat.system_prompt)
    if turn in (AGAIN, UNDO):
        return chat.without_last()
    return chat.with_last_answer(question) if turn == EDIT else chat


def _listed(inputs: Mapping[str, torch.Tensor] | None) -> dict[str, list[torch.Tensor]]:
    return {name: [tensor] for name, tensor in (inputs or {}).items()}


def _asked(chat: Chat, question: str, pictures: list[Picture]) -> tuple[tuple[Any, ...], int]:
    """The parts of the question, and how many of its pictures the chat shows already."""
    if not question.strip():
        raise InputError("The question is empty.", "Write a question.")
    new = [picture for picture in pictures if not chat.shows(picture)]
    # One that the question names stands there again, as the user wants it.
    if "{image" in question:
        new = pictures
    return placed(question.strip(), new), len(pictures) - len(new)


def _name(node: type[io.ComfyNode]) -> str:
    """Whose memory it is: this node's in this workflow."""
    about = node.hidden.extra_pnginfo if node.hidden else None
    workflow = about.get("workflow", {}).get("id", "") if isinstance(about, dict) else ""
    return f"{workflow}/{node_id_of(node)}"


def _output(chat: Chat, reply: Reply | None, lines: list[str]) -> io.NodeOutput:
    answer = reply.text if reply else chat.turns[-1].answer if chat.turns else ""
    thinking = reply.thinking if reply else chat.turns[-1].thinking if chat.turns else ""
    lines = [f"{len(chat.turns)} turns, {chat.pictures} pictures", *lines]
    if chat.forgotten:
        lines.append(f"the context is full: the first {chat.forgotten} turns are no longer read")
    if reply:
        lines.append(report([reply]))
    how = "\n".join(lines)
    shown = {"text": [answer], "report": [how], "chat": _shown(chat)}
    return io.NodeOutput(answer, thinking, how, chat, chat.text(), ui=shown)


def _shown(chat: Chat) -> list[dict[str, str]]:
    """The conversation for the browser and `/history`."""
    found = [{"role": "system", "text": chat.system_prompt}] if chat.system_prompt else []
    for turn in chat.turns:
        found.append({"role": "user", "text": turn.question})
        found.append({"role": "assistant", "text": turn.answer})
    return found
