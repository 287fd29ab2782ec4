"""What a server may do to a request: each makes a script for `ScriptedServer`."""

from __future__ import annotations

import asyncio
import json

from scripted_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Closed,
    answer,
    chunk,
    event,
    pieces,
    response,
    send,
)


def says(*data, then=answer):
    """Writes these bytes to the first request, and a good answer to every other."""

    async def script(seen, writer):
        if seen.number:
            await then(seen, writer)
        else:
            await send(writer, *data)

    return script


def always(*data, close=False):
    async def script(_seen, writer):
        await send(writer, *data)
        if close:
            raise Closed

    return script


def cut(*data, times=1):
    """Writes these bytes and cuts the line, so many times; then answers well."""

    async def script(seen, writer):
        if seen.number >= times:
            await answer(seen, writer)
            return
        await send(writer, *data)
        raise Closed

    return script


def forever(head, piece):
    async def script(_seen, writer):
        await send(writer, head)
        while True:
            await send(writer, piece)

    return script


def hangs(*data):
    async def script(_seen, writer):
        await send(writer, *data)
        await asyncio.Event().wait()

    return script


def refuses(status, said=None, times=1, **headers):
    """A refusal with a body as OpenAI writes it, or without one; then good answers."""
    body = {"error": {"message": said, "type": "x", "code": status}} if said else b""

    async def script(seen, writer):
        if seen.number < times:
            await send(writer, response(body, status, **headers))
        else:
            await answer(seen, writer)

    return script


async def in_single_bytes(_seen, writer):
    await send(writer, STREAM_HEAD)
    data = b"".join(
        b"data: " + e.split(b"data: ")[1] for e in map(event, [*pieces("Wörter."), "[DONE]"])
    )
    data = data.replace(b"\n\n\r\n", b"\n\n")
    for place in range(len(data)):
        await send(writer, chunk(data[place : place + 1]))
    await send(writer, LAST_CHUNK)


def stream(*events, end=LAST_CHUNK):
    return [STREAM_HEAD, *map(event, events), end]


def data_of(told):
    """An event as it stands in a chunk."""
    return f"data: {json.dumps(told)}\n\n".encode()


def piece_of(text):
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


def drips(head, data, seconds=0.02):
    """Begins well and goes on for ever, a byte at a time."""

    async def script(_seen, writer):
        await send(writer, head)
        while True:
            for place in range(len(data)):
                await send(writer, data[place : place + 1])
                await asyncio.sleep(seconds)

    return script


def refuses_with_each(status, forms, said=None):
    """A refusal with each of these headers in turn; then good answers."""
    body = {"error": {"message": said}} if said else b""

    async def script(seen, writer):
        if seen.number < len(forms):
            await send(writer, response(body, status, **forms[seen.number]))
        else:
            await answer(seen, writer)

    return script


def sends_on(status, where):
    """Always to another address, which is asked for when it is needed."""

    async def script(_seen, writer):
        place = where()
        page = f"<meta http-equiv=refresh content='0; url={place}'>"
        more = {"Location": place, "Refresh": f"0; url={place}", "Alt_Svc": f"h2='{place}'"}
        await send(writer, response(page, status, "text/html", **more))

    return script


def long_body(kind, declared=None):
    """A body of a gigabyte, said before or found out."""
    size = b"Transfer-Encoding: chunked" if declared is None else b"Content-Length: %d" % declared
    head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n" + size + b"\r\n\r\n"
    piece = b" " * 65_536

    async def script(_seen, writer):
        await send(writer, head)
        for _ in range((1 << 30) // len(piece)):
            await send(writer, piece if declared else chunk(piece))

    return script
