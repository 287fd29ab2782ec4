"""What lies below a connection: httpx's transport, and the bytes of an answer."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


def opened(tls: ssl.SSLContext | bool) -> httpx.AsyncHTTPTransport:
    """A transport of one line: no proxy, no password and no log of the environment's."""
    import httpx

    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60)
    return httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits)


def in_step(transport: Any) -> bool:
    """Whether nothing came after an answer: the next request would be answered with it.

    Only the parser below httpx knows; where it cannot be asked, no line is used twice.
    """
    try:
        lines = [line._connection._h11_state for line in transport._pool.connections]
        return not any(line.trailing_data[0] for line in lines)
    except AttributeError:
        return False


async def chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes."""
    async for chunk in response.stream:  # type: ignore[union-attr] - an async one, of our transport
        yield chunk


async def read_out(rest: AsyncIterator[bytes]) -> None:
    """The rest of a body, which nobody needs."""
    async for _ in rest:
        pass


async def closed(response: httpx.Response) -> None:
    """End an answer; what was not read of it costs the line."""
    with contextlib.suppress(Exception):
        await response.stream.aclose()  # type: ignore[union-attr]
