"""Save Chat and Load Chat: conversations with their pictures as files of the allowed folders."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...loaders.host.port import host
from ...utils.conversation.transcript import Chat
from ...utils.files.saved_chats import chat_stamp, load_chat, save_chat
from ..forms import sockets
from ..forms.search_words import search_words

FOLDER = "output"


def _place_inputs() -> list[io.Input]:
    return [
        io.Combo.Input("folder", options=host().allowed_folders().menu(), default=FOLDER),
        io.String.Input(
            "name", default="chat", tooltip="Of the file, without .json; no folders in it."
        ),
    ]


class Qwen3VLSaveChat(io.ComfyNode):
    """Writes a conversation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLSaveChat",
            display_name="Qwen3-VL Save Chat",
            category=sockets.CATEGORY,
            description="Saves a conversation with its pictures as JSON, to go on with it later.",
            search_aliases=search_words("Qwen3VLSaveChat"),
            inputs=[sockets.Chat.Input("chat"), *_place_inputs()],
            outputs=[io.String.Output("report", display_name="report")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, chat: Chat, folder: str, name: str) -> io.NodeOutput:
        """Write it whole, over an older save of the same name but over nothing else."""
        place = host().allowed_folders().locate(folder)
        how = f"{save_chat(chat, place, name)}: {len(chat.turns)} turns, {chat.pictures} pictures"
        return io.NodeOutput(how, ui={"text": [how]})


class Qwen3VLLoadChat(io.ComfyNode):
    """Reads a conversation."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form."""
        return io.Schema(
            node_id="Qwen3VLLoadChat",
            display_name="Qwen3-VL Load Chat",
            category=sockets.CATEGORY,
            description="Loads a conversation that Save Chat wrote, pictures included.",
            search_aliases=search_words("Qwen3VLLoadChat"),
            inputs=_place_inputs(),
            outputs=[
                sockets.Chat.Output("chat", display_name="chat"),
                io.String.Output("transcript", display_name="transcript"),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str, name: str, **_: Any) -> str:
        """Read again when the file is another."""
        return chat_stamp(host().allowed_folders().locate(folder), name)

    @classmethod
    def execute(cls, folder: str, name: str) -> io.NodeOutput:
        """The chat as it was saved."""
        chat = load_chat(host().allowed_folders().locate(folder), name)
        return io.NodeOutput(chat, chat.text())
