"""One connection to one server: requests out, bounded bytes in, and the key to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .answers import Writing
from .bodies import (
    BrokenAnswerError,
    EventStream,
    ToldErrorError,
    TooLongEventError,
    error_text,
    parse_object,
)
from .lines import chunks, closed, in_step, opened, read_out
from .verdicts import Trouble, broken, refused, told_inside, unencrypted, unreachable, untrusted

if TYPE_CHECKING:
    import httpx

MIB = 1 << 20
# No answer is longer: 262,144 tokens are 2 MiB of text, each an event of some 300 bytes at most.
MAX_WHOLE_BYTES, MAX_STREAM_BYTES, MAX_ERROR_BYTES = 16 * MIB, 256 * MIB, MIB // 16
CONNECT_SECONDS = 10.0
LAST_BYTES_SECONDS = 0.2
# How OpenSSL, by its version, calls an answer that is no TLS at all.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")


class FailedTryError(Exception):
    """A try that failed; `trouble` says what becomes of the request."""

    def __init__(self, trouble: Trouble):
        super().__init__(trouble.error.problem)
        self.trouble = trouble


def base_url(origin: str) -> str:
    """Where the interface begins: an origin with no path of its own gets `/v1`."""
    return origin if urlsplit(origin).path else origin + "/v1"


def root_url(origin: str) -> str:
    """Where a server's other addresses begin."""
    return origin.removesuffix("/v1")


class Connection:
    """One request at a time; use it in one event loop, and close it after a failure.

    httpx's transport is driven without its client: that one would log addresses, keep cookies,
    and read proxies and passwords out of the environment.
    """

    def __init__(self, server: str, origin: str, key: str, tls: ssl.SSLContext | bool):
        self._server, self._origin, self._key, self._tls = server, origin, key, tls
        self._transport = opened(tls)

    async def ask(self, body: bytes, writing: Writing, on_piece: Callable[[], None]) -> None:
        """Post a chat and take its answer into `writing`; `on_piece` is called as it grows.

        Raises:
            FailedTryError: with what is to be done about it.
        """
        url = base_url(self._origin) + "/chat/completions"
        async with self._answer("POST", url, body) as response:
            if response.status_code != 200:
                raise FailedTryError(await self._refusal(response))
            kind = response.headers.get("content-type", "")
            if kind.startswith("text/event-stream"):
                await self._take_stream(response, writing, on_piece)
            else:
                writing.take_whole(await self._body(response, MAX_WHOLE_BYTES))

    async def get(self, url: str) -> Any:
        """The JSON object at an address of this server; None for a 404, a page, an error.

        Raises:
            FailedTryError: it does not answer, or refuses us.
        """
        async with self._answer("GET", url, b"") as response:
            if response.status_code in (400, 404, 405, 410, 501):
                return None
            if response.status_code != 200:
                raise FailedTryError(await self._refusal(response))
            with contextlib.suppress(BrokenAnswerError):
                told = parse_object(await self._body(response, MAX_WHOLE_BYTES))
                # LM Studio answers so at every address that it does not know.
                return None if told.keys() == {"error"} else told
            return None

    async def close(self) -> None:
        """Close the line; what the server was doing for us, it stops."""
        with contextlib.suppress(Exception):
            await self._transport.aclose()

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, url: str, body: bytes) -> AsyncIterator[httpx.Response]:
        import httpx

        try:
            response = await self._transport.handle_async_request(self._request(method, url, body))
            try:
                encoding = response.headers.get("content-encoding", "identity")
                if encoding != "identity":  # a small one can unfold to any size
                    raise BrokenAnswerError("it is compressed, though it was asked not to be")
                yield response
            finally:
                await closed(response)
                if not in_step(self._transport):
                    await self.close()
                    self._transport = opened(self._tls)
        except ToldErrorError as error:
            raise FailedTryError(told_inside(self._server, self._hide(str(error)))) from None
        except (BrokenAnswerError, TooLongEventError) as error:
            why = str(error) or "a piece of it has no end"
            raise FailedTryError(broken(self._server, self._hide(why))) from None
        except (httpx.TransportError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            # Its own words and its cause name the address.
            raise FailedTryError(self._trouble(error)) from None

    def _request(self, method: str, url: str, body: bytes) -> httpx.Request:
        import httpx

        headers = {"Accept-Encoding": "identity", "User-Agent": "qwen3-vl-nodes"}
        if body:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        timeout = {"connect": CONNECT_SECONDS, "read": None, "write": None, "pool": None}
        return httpx.Request(
            method, url, headers=headers, content=body or None, extensions={"timeout": timeout}
        )

    def _trouble(self, error: Exception) -> Trouble:
        import httpx

        tls = _tls_error(error)
        if isinstance(tls, ssl.SSLCertVerificationError):
            return untrusted(self._server)
        if tls is not None and tls.reason in _NOT_TLS:
            return unencrypted(self._server)
        if isinstance(error, httpx.ConnectTimeout):
            return unreachable(self._server, f"no answer within {CONNECT_SECONDS:g} s")
        if isinstance(error, httpx.ConnectError):
            return unreachable(self._server, "nothing listens there, or its name is unknown")
        if isinstance(error, httpx.RemoteProtocolError):
            return broken(self._server, "the line was cut, or it does not speak HTTP")
        return broken(self._server, "the line broke")

    async def _refusal(self, response: httpx.Response) -> Trouble:
        said = ""
        with contextlib.suppress(BrokenAnswerError):
            body = await self._body(response, MAX_ERROR_BYTES)
            said = error_text(_parsed(body))
        return refused(
            self._server, response.status_code, response.headers, self._hide(said), time.time()
        )

    def _hide(self, text: str) -> str:
        """What a server says, without the key and the address, should it repeat them."""
        host = urlsplit(self._origin).netloc
        for secret in (self._key, self._origin, host):
            text = text.replace(secret, "…") if secret else text
        return "".join(letter for letter in text if letter.isprintable())

    async def _body(self, response: httpx.Response, most: int) -> bytes:
        parts, size = [], 0
        async for chunk in chunks(response):
            size += len(chunk)
            if size > most:
                raise BrokenAnswerError(f"it has more than {most:,} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def _take_stream(
        self, response: httpx.Response, writing: Writing, on_piece: Callable[[], None]
    ) -> None:
        events, size = EventStream(), 0
        body = chunks(response)
        async for chunk in body:
            size += len(chunk)
            if size > MAX_STREAM_BYTES:
                raise BrokenAnswerError(f"it has more than {MAX_STREAM_BYTES:,} bytes")
            for data in events.feed(chunk):
                writing.take_event(data)
                on_piece()
            if writing.ended_here:
                return
            if writing.complete:  # its last bytes are on their way; with them the line stays usable
                with contextlib.suppress(TimeoutError):
                    await within(LAST_BYTES_SECONDS, read_out(body))
                return
        for data in events.end():
            writing.take_event(data)


def _parsed(body: bytes) -> Any:
    import json

    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return {}


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """What went wrong in TLS, however deep it is wrapped; a line that was cut is no such thing."""
    for _ in range(8):
        if error is None or isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


async def within(seconds: float, work: Any) -> Any:
    """`asyncio.wait_for`, by which the one deadline of a request is kept.

    Raises:
        TimeoutError: it took longer; the work is cancelled.
    """
    try:
        return await asyncio.wait_for(work, max(0.0, seconds))
    except asyncio.TimeoutError:  # another class before Python 3.11
        raise TimeoutError from None
