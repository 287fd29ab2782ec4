"""A server on loopback that does to each request what the test wrote, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    number: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


TLS_HELLO = b"\x16"

# Gets the request and writes the answer; what it raises closes the line.
Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class ScriptedServer:
    """Use it with `with`. `script` may be changed between requests."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    closed_by_client: int = 0
    lines: int = 0
    open_now: int = 0
    most_open: int = 0
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(
            self._talk, "127.0.0.1", self.port, backlog=1024, ssl=self.tls
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _talk(self, reader, writer):
        early = b""
        self.lines += 1
        try:
            while True:
                early = early or await reader.readexactly(1)
                if early == TLS_HELLO and not self.tls:
                    await send(writer, response(b"", 400))  # as a server does that speaks no TLS
                    raise Closed
                seen = await self._read(reader, early)
                self.seen.append(seen)
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
                answering = asyncio.ensure_future(self.script(seen, writer))
                # A client that leaves is noticed by the end of its line.
                watching = asyncio.ensure_future(reader.read(1))
                try:
                    await asyncio.wait({answering, watching}, return_when="FIRST_COMPLETED")
                    if not answering.done() and not watching.result():
                        self.closed_by_client += 1
                        answering.cancel()
                    await answering
                finally:
                    self.open_now -= 1
                    watching.cancel()
                    early = b""
                    # What was read may be the next request's first byte: a quick client's.
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        early = await watching
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError, Closed):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader, early):
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Seen(method, path, headers, body, len(self.seen))


class Closed(Exception):  # noqa: N818 - a signal, not an error
    """A script that wants the line closed."""


async def send(writer, *parts: bytes) -> None:
    for part in parts:
        if writer.transport.is_closing():
            raise ConnectionResetError("the client is gone")
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)  # draining alone may never let the loop see that it is to end


def response(body: bytes | str | dict, status: int = 200, kind="application/json", **headers):
    """A whole HTTP response."""
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}"]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Content-Length": str(len(data))} | named
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: dict | str) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return chunk(f"data: {text}\n\n")


def whole(
    text: str | list[dict] | None = "A red square.", finish="stop", message=None, **more
) -> dict:
    """A chat completion as every server writes it."""
    said = {"role": "assistant", "content": text} | (message or {})
    choice = {"index": 0, "message": said, "finish_reason": finish, **more}
    usage = {"prompt_tokens": 90, "completion_tokens": 6, "total_tokens": 96}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


def pieces(text: str = "A red square.", key="content", finish="stop", usage=True) -> list[dict]:
    """The same in pieces: the role, words, the end, the count."""
    words = [f"{word} " for word in text.split(" ")]
    words[-1] = words[-1][:-1]
    deltas = [{"role": "assistant", "content": ""}, *({key: word} for word in words)]
    events: list[dict] = [
        {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        count = {"prompt_tokens": 90, "completion_tokens": len(words)}
        events.append({"choices": [], "usage": count})
    return events


async def answer(seen: Seen, writer, text="A red square.") -> None:
    """A good answer, in pieces where it was asked for in pieces."""
    if seen.json.get("stream"):
        await send(writer, STREAM_HEAD, *map(event, [*pieces(text), "[DONE]"]), LAST_CHUNK)
    else:
        await send(writer, response(whole(text)))
