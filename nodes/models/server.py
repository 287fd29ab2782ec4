"""The server node: a model that runs elsewhere, for the same nodes."""

from __future__ import annotations

from comfy_api.latest import io

from ...loaders.host.port import host
from ...loaders.servers import profiles, remote_model
from ..forms import sockets
from ..forms.search_words import search_words


class Qwen3VLServer(io.ComfyNode):
    """Chooses a model on a server; nothing is loaded here."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node's form: no address and no key, which are the owner's, in qwen3vl.toml."""
        return io.Schema(
            node_id="Qwen3VLServer",
            display_name="Qwen3-VL Server",
            category=sockets.CATEGORY,
            description="A model that runs on vLLM, SGLang, llama.cpp, LM Studio, Ollama or any "
            "server of the OpenAI style, on this machine or another. Every node takes it as it "
            "takes a loaded one.",
            search_aliases=search_words("Qwen3VLServer"),
            inputs=[
                io.Combo.Input(
                    "server",
                    options=profiles.names(),
                    tooltip="Servers on this machine at their usual ports, and those that "
                    "qwen3vl.toml lists with their addresses.",
                ),
                io.String.Input(
                    "model",
                    default="",
                    tooltip="The model's name on the server. Empty: the one of qwen3vl.toml, or "
                    "the only one that the server has.",
                ),
            ],
            outputs=[
                sockets.Model.Output(display_name="model"),
                io.String.Output("report", display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, server: str = "", model: str = "") -> str:
        """Differs once the server has another model, so that what the last one said is asked."""
        return remote_model.version_at(server, model)

    @classmethod
    def validate_inputs(cls, server: str | None = None) -> bool | str:
        """Any server that is listed now, also one that was added since the menu was filled."""
        return remote_model.check_name(server)

    @classmethod
    def execute(cls, server: str, model: str) -> io.NodeOutput:
        """Ask the server what it is; return a handle and what it says."""
        found, problems = remote_model.find(
            profiles.profile(server), model.strip(), host().check_interrupt
        )
        report = "\n".join([found.describe(), *problems])
        return io.NodeOutput(found, report, ui={"text": [report]})
