"""ComfyUI's HTTP interface, as far as a client needs it, over a connection that may be lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from .errors import RunError, UnreachableError
from .jobs import NODE

T = TypeVar("T")
# What a server that is gone, going or not yet back looks like.
LOST = (
    *(aiohttp.ClientConnectionError, aiohttp.ClientPayloadError),
    *(asyncio.TimeoutError, TimeoutError, ConnectionError),
)
GATEWAY_ERRORS = (502, 503, 504)  # of a proxy before a server that is gone
# A call that breaks the connection so often would break it for ever.
CALL_TRIES = 5
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
CHUNK_BYTES = 1024 * 1024
QUEUED = "queued"


class Server:
    """The calls; each waits up to `wait_seconds` for a server that went away, then goes on."""

    def __init__(self, session: aiohttp.ClientSession, url: str, wait_seconds: float):
        self._session = session
        self.url = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
        self.wait_seconds = wait_seconds
        self._waiting = asyncio.Lock()
        self._form: dict[str, Any] | None = None
        self.client_id = uuid.uuid4().hex
        self.losses = 0  # how often the connection was lost

    async def form(self) -> dict[str, Any]:
        """The node's inputs by name, as the server describes them; the first call of all.

        Raises:
            UnreachableError: at once, as a wrong address is likelier than a restart.
        """
        if self._form is None:
            try:
                node = (await self._get(f"/object_info/{NODE}")).get(NODE) or {}
                inputs = node.get("input") or {}
                self._form = (inputs.get("required") or {}) | (inputs.get("optional") or {})
            except (*LOST, aiohttp.ClientError, RunError, AttributeError, TypeError) as error:
                why = str(error) or type(error).__name__
                raise UnreachableError(f"ComfyUI cannot be reached: {why}") from error
        return self._form or {}

    async def upload(self, path: Path, subfolder: str) -> None:
        """Put one picture below the input folder; RunError or OSError if that cannot be."""

        async def post() -> None:
            # Quoting would turn spaces and every letter but a-z into %20 and the like.
            fields = {"type": "input", "subfolder": subfolder, "overwrite": "true"}
            form = aiohttp.FormData(fields, quote_fields=False)
            with path.open("rb") as file:
                form.add_field("image", file, filename=path.name)
                async with self._session.post(f"{self.url}/upload/image", data=form) as answer:
                    _check_gateway(answer)
                    if answer.status == 413:
                        raise RunError("the server takes no file of this size: --max-upload-size")
                    if answer.status != 200:
                        raise RunError(f"the server did not take it (HTTP {answer.status})")
                    if (await _json(answer)).get("name") != path.name:
                        raise RunError("the server cannot store this name; rename the picture")

        await self._patiently(post)

    async def queue(self, prompt: dict[str, Any], prompt_id: str) -> str:
        """Queue a workflow in API format; returns its id, `prompt_id` where the server lets us."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": self.client_id}
        tried = False

        async def post() -> str:
            nonlocal tried
            # If the answer was lost on the way, the prompt may be there all the same.
            if tried and await self._whereabouts(prompt_id) is not None:
                return prompt_id
            tried = True
            async with self._session.post(f"{self.url}/prompt", json=body) as answer:
                _check_gateway(answer)
                if answer.status != 200:
                    said = refusal(await answer.text(errors="replace"))
                    raise RunError(f"The server refused the workflow: {said}")
                given = (await _json(answer)).get("prompt_id")
                if not isinstance(given, str):
                    raise RunError("The server gave the workflow no prompt_id. Is it ComfyUI?")
                return given

        return await self._patiently(post)

    async def whereabouts(self, prompt_id: str) -> dict[str, Any] | str | None:
        """A prompt's history once it has ended, QUEUED before, None if the server has neither."""
        return await self._patiently(lambda: self._whereabouts(prompt_id))

    async def _whereabouts(self, prompt_id: str) -> dict[str, Any] | str | None:
        # In this order: a prompt that ends in between is found in the history.
        queue = await self._get("/queue")
        for key in ("queue_running", "queue_pending"):
            for item in queue.get(key) or []:
                if isinstance(item, list) and prompt_id in item[1:2]:
                    return QUEUED
        entry = (await self._get(f"/history/{prompt_id}")).get(prompt_id)
        if entry is not None and not isinstance(entry, dict):
            raise RunError(f"The server's history is unreadable: {str(entry)[:300]}")
        return entry

    async def listen(self) -> aiohttp.ClientWebSocketResponse:
        """The websocket on which the server tells this client how its prompts go."""
        return await self._session.ws_connect(
            f"{self.url}/ws?clientId={self.client_id}", heartbeat=60, max_msg_size=0
        )

    async def download(self, subfolder: str, filename: str, file: Any, limit: int) -> bool:
        """Write a file of the output folder into an open one; False where there is none.

        Raises:
            RunError: it has more bytes than `limit`.
        """

        async def get() -> bool:
            query = {"type": "output", "subfolder": subfolder, "filename": filename}
            file.seek(0)
            file.truncate()
            async with self._session.get(f"{self.url}/view", params=query) as answer:
                _check_gateway(answer)
                if answer.status != 200:
                    return False
                size = 0
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    size += len(chunk)
                    if size > limit:
                        raise RunError(f"the server's file {filename} has more than {limit} bytes")
                    file.write(chunk)
                return True

        return await self._patiently(get)

    async def stop(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or interrupt it; one try, without waiting."""
        for path, body in (
            ("/queue", {"delete": [prompt_id]}),
            ("/interrupt", {"prompt_id": prompt_id}),
        ):
            async with self._session.post(f"{self.url}{path}", json=body):
                pass

    async def back(self) -> None:
        """Wait until the server answers.

        Raises:
            UnreachableError: it did not within `wait_seconds`.
        """
        async with self._waiting:
            deadline, pause = time.monotonic() + self.wait_seconds, FIRST_PAUSE_SECONDS
            while True:
                with contextlib.suppress(*LOST, RunError, aiohttp.ClientError):
                    await asyncio.wait_for(self._get("/queue"), timeout=10)
                    return
                if time.monotonic() + pause > deadline:
                    raise UnreachableError(f"ComfyUI was gone for {self.wait_seconds:g} s (--wait)")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await call()
            except LOST as error:
                self.losses += 1
                tries += 1
                if tries == CALL_TRIES:
                    why = str(error) or type(error).__name__
                    raise RunError(f"the connection broke {tries} times ({why})") from error
            await self.back()

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(self.url + path) as answer:
            _check_gateway(answer)
            return await _json(answer)


def _check_gateway(answer: aiohttp.ClientResponse) -> None:
    if answer.status in GATEWAY_ERRORS:
        raise ConnectionError(f"HTTP {answer.status}")


async def _json(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    text = await answer.text(errors="replace")
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    raise RunError(f"{answer.url.path} (HTTP {answer.status}) is no ComfyUI's: {text[:200]!r}")


def refusal(text: str) -> str:
    """The readable part of the server's answer to a prompt it does not take."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        answer = json.loads(text)
        details = [
            f"{node['class_type']}: {error['message']}: {error['details']}"
            for node in answer["node_errors"].values()
            for error in node["errors"]
        ]
        return "\n".join([answer["error"]["message"], *details])
    return text[:1000]
