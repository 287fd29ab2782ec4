"""What a run shows in ComfyUI: the bar on the running node, and messages over the websocket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

# The kind of our messages over the websocket; published, see the README.
MESSAGE = "qwen3vl.text"
# The longest side of a picture shown in a running node.
PREVIEW_SIDE = 512


class NodeBar:
    """ComfyUI's bar on the running node, and messages of our own about what it does.

    Text goes no other way: as core's progress text it is HTML on old front ends and Markdown on
    new ones.
    """

    def __init__(self, total: int, node_id: str | None = None):
        from comfy.utils import ProgressBar as ComfyBar

        self._bar = ComfyBar(max(1, total))
        self._prompt_id, running = _running()
        self._node_id = node_id or running

    def show(self, done: float, line: str = "", picture: Image | None = None) -> None:
        """Set the bar to `done` of the total, the line below the node's text, and the picture
        in the node.
        """
        preview = ("JPEG", picture, PREVIEW_SIDE) if picture is not None else None
        self._bar.update_absolute(done, preview=preview)
        if line:
            self.tell(line=line)

    def tell(self, **facts: Any) -> None:
        """Send a message `qwen3vl.text` to whoever queued the prompt, if anybody listens."""
        server = _server()
        if server is None or self._node_id is None or server.client_id is None:
            return
        place = {"node": self._node_id, "prompt_id": self._prompt_id}
        server.send_sync(MESSAGE, place | _printable(facts), server.client_id)


def _printable(facts: dict[str, Any]) -> dict[str, Any]:
    """Half surrogates, as in names that are no UTF-8, cannot be sent."""
    return {
        key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for key, value in facts.items()
    }


def _running() -> tuple[str | None, str | None]:
    """The prompt that runs now and its node, where ComfyUI tells."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:  # older than 0.3.50
        return None, None
    context = get_executing_context()
    return (context.prompt_id, context.node_id) if context else (None, None)


def _server() -> Any:
    """The running PromptServer, or None in a process without one."""
    import sys

    # Importing `server` here would start one; it is there whenever ComfyUI runs.
    instance = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return instance if hasattr(instance, "send_sync") else None
