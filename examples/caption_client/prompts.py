"""Takes a workflow through the queue to its end, over lost connections and restarts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from .errors import RunError, UnreachableError
from .progress import Progress, clear
from .server import LOST, QUEUED, Server

# The websocket tells at once; should it be dumb, or have opened after the end of a short prompt,
# the queue is asked too, less and less often.
FIRST_POLL_SECONDS, POLL_SECONDS = 0.1, 30.0
# Before a prompt that is nowhere counts as gone, and before a closed websocket is opened again.
SECOND_LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0
# An interrupt comes through within seconds; then the captions so far are complete.
STOP_SECONDS = 20.0
ENDED = ("execution_success", "execution_error", "execution_interrupted")
# Errors that another try may not meet.
PASSING = re.compile(
    r"out of memory|OutOfMemory|connection (was )?(lost|reset|refused|closed|aborted)|"
    r"Connection\w*Error|timed out",
    re.IGNORECASE,
)


class PassingError(RunError):
    """A prompt ended without a result, and another try may do better."""


@dataclass(slots=True)
class Attempts:
    """The prompts queued for one folder, and what is worth telling about them."""

    prompt_ids: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def run(
    server: Server, prompt: dict[str, Any], node_id: str, retries: int, attempts: Attempts
) -> str:
    """The text that the node gave: its ledger.

    A prompt that an error which may pass ended, or that a restart lost, is queued again:
    `retries` times, counted anew whenever fewer pictures were left than ever before.

    Raises:
        RunError: refused, or ended with an error.
        UnreachableError: the server did not come back.
    """
    tries_left, fewest_left = retries, float("inf")
    while True:
        progress = Progress(node_id)
        try:
            return await _run_once(server, prompt, node_id, attempts, progress)
        except PassingError as error:
            if progress.left is not None and progress.left < fewest_left:
                tries_left, fewest_left = retries, progress.left
            if tries_left <= 0:
                raise
            tries_left -= 1
            attempts.notes.append(f"queued again: {error}")
        finally:
            clear()
        await asyncio.sleep(RETRY_SECONDS)


async def _run_once(
    server: Server, prompt: dict[str, Any], node_id: str, attempts: Attempts, progress: Progress
) -> str:
    # Known beforehand, so that it can be looked for even if the server's answer is lost.
    prompt_id = str(uuid.uuid4())
    losses = server.losses
    attempts.prompt_ids.append(prompt_id)
    try:
        prompt_id = attempts.prompt_ids[-1] = await server.queue(prompt, prompt_id)
        entry = await _end_of(server, prompt_id, progress)
    except asyncio.CancelledError:
        server.wait_seconds = 0  # who stops the client does not want to wait
        with contextlib.suppress(*LOST, aiohttp.ClientError, RunError, UnreachableError):
            await asyncio.wait_for(_stop(server, prompt_id), STOP_SECONDS)
        raise
    if entry is None and server.losses > losses:
        raise PassingError("the server was started again and knows nothing of the prompt")
    if entry is None:
        raise RunError("The prompt was taken out of the server's queue or history by somebody.")
    return _text_of(entry, node_id)


async def _end_of(server: Server, prompt_id: str, progress: Progress) -> dict[str, Any] | None:
    """A prompt's history, when it has ended; None if the server has forgotten it."""
    looks, pause = 0, FIRST_POLL_SECONDS
    while True:
        reader = asyncio.ensure_future(_read(server, prompt_id, progress))
        try:
            while True:
                place = await server.whereabouts(prompt_id)
                if isinstance(place, dict):
                    return place
                looks = looks + 1 if place is None else 0
                if looks == 2:
                    return None
                if looks:
                    await asyncio.sleep(SECOND_LOOK_SECONDS)
                elif not reader.done():
                    await asyncio.wait({reader}, timeout=pause)
                    pause = min(2 * pause, POLL_SECONDS)
                elif reader.result():
                    await asyncio.sleep(0.05)  # the history has it in a moment
                else:
                    break
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        server.losses += 1
        await asyncio.sleep(SECOND_LOOK_SECONDS)


async def _read(server: Server, prompt_id: str, progress: Progress) -> bool:
    """Pass on what the websocket says of a prompt; whether it heard of the end."""
    with contextlib.suppress(*LOST, aiohttp.ClientError):
        async with await server.listen() as socket:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    kind, data = _event(message.data)
                    if data.get("prompt_id") == prompt_id:
                        progress.event(kind, data)
                        if kind in ENDED:
                            return True
    return False


def _event(text: str) -> tuple[str, dict[str, Any]]:
    """Kind and data of a message; of one that is none, nothing."""
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
        event = json.loads(text)
        if isinstance(event["data"], dict):
            return str(event["type"]), event["data"]
    return "", {}


async def _stop(server: Server, prompt_id: str) -> None:
    """Interrupt a prompt and wait for its end, so that no caption is in the making."""
    # Said again: ComfyUI forgets an interrupt that comes just before a prompt begins.
    while True:
        await server.stop(prompt_id)
        if await server.whereabouts(prompt_id) != QUEUED:
            return
        await asyncio.sleep(0.5)


def _text_of(entry: dict[str, Any], node_id: str) -> str:
    """The node's text in a history entry; a prompt that ended otherwise raises."""
    try:
        for kind, data in entry["status"]["messages"]:
            if kind == "execution_interrupted":
                raise RunError("The prompt was interrupted on the server. Run it again to go on.")
            if kind == "execution_error":
                said = str(
                    data.get("exception_message") or "The prompt ended with an error."
                ).strip()
                passes = PASSING.search(f"{data.get('exception_type')} {said}")
                raise (PassingError if passes else RunError)(said)
        return "\n".join(entry["outputs"][node_id]["text"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"The server's history is unreadable: {str(entry)[:300]}") from error
