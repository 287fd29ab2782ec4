"""Faults of servers and networks, each with what has to come of it: the table for every dialect.

Texts of refusals are those of vLLM, SGLang, llama.cpp, LM Studio, Ollama, DashScope and proxies.
"""

from __future__ import annotations

import gzip
import json

from asking_servers import KEY
from qwen3vl_nodes.loaders.servers.wire.dispatch import TRIES
from scripted_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    ScriptedServer,
    answer,
    chunk,
    event,
    pieces,
    response,
    whole,
)
from server_scripts import (
    always,
    cut,
    data_of,
    drips,
    forever,
    hangs,
    in_single_bytes,
    long_body,
    piece_of,
    refuses,
    refuses_with_each,
    says,
    sends_on,
    stream,
)

GOOD = [*pieces(), "[DONE]"]
CRLF = chunk(": a comment\r\nretry: 10\r\n\r\n") + b"".join(
    chunk(e.split(b"\r\n")[1].replace(b"\n", b"\r\n")) for e in map(event, GOOD)
)
TEXT = "A red square."

# Another server, which nothing may be sent to; tests start it.
STRANGER = ScriptedServer(answer)
CHUNKED_400 = STREAM_HEAD.replace(b"200", b"400")
# Each form in which a server may say when to be asked again, those that say nothing first.
RETRY_AFTER = [
    {},
    {"Retry_After": "soon, -1, NaN"},
    {"Retry_After": "-5"},
    {"Retry_After": ""},
    {"Retry_After": "0"},
    {"Retry_After": "0.001"},
    {"Retry_After": " 0 "},
    {"retry_after_ms": "1", "Retry_After": "9999"},
    {"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    {"Retry_After": "Wednesday, 21-Oct-15 07:28:00 GMT"},
    {"Retry_After": "Wed Oct 21 07:28:00 2015"},
]


# What the server does to the first request, and the text that comes of it.
MENDED = {
    "whole, though a stream was asked for": (says(response(whole())), TEXT),
    "pieces of one byte": (in_single_bytes, "Wörter."),
    "comments, CRLF": (says(STREAM_HEAD, CRLF, LAST_CHUNK), TEXT),
    "no DONE": (says(*stream(*pieces())), TEXT),
    "no usage": (says(*stream(*pieces(usage=False), "[DONE]")), TEXT),
    "last event without an empty line": (
        says(STREAM_HEAD, *map(event, pieces()), chunk("data: [DONE]"), LAST_CHUNK), TEXT),
    "hangs after DONE": (hangs(*stream(*GOOD, end=b"")), TEXT),
    "error inside a stream": (says(*stream(pieces()[0], {"error": {"message": "oom"}})), TEXT),
    "event that is no JSON": (says(*stream("{oh")), TEXT),
    "closed at once": (cut(times=2), TEXT),
    "cut in the headers": (cut(b"HTTP/1.1 200 OK\r\nContent-"), TEXT),
    "cut in the body": (cut(response(whole(), Content_Length="999999")), TEXT),
    "cut in a stream": (cut(STREAM_HEAD, event(pieces()[0]), event(pieces()[1])), TEXT),
    "stream that ends too early": (says(*stream(*pieces()[:2])), TEXT),
    "a page once": (says(response("<html>hello", kind="text/html")), TEXT),
    "empty body once": (says(response(b"")), TEXT),
    "null content once": (says(response(whole(None))), TEXT),
    "truncated JSON once": (says(response(b'{"choices": [{"message": {"cont')), TEXT),
    "not HTTP once": (cut(b"SSH-2.0-OpenSSH_9.6\r\n"), TEXT),
    **{f"{status} with each Retry-After": (refuses_with_each(status, RETRY_AFTER), TEXT)
       for status in (408, 409, 425, 429, 503, 529)},
    "409 with a word": (refuses(409, "conflict"), TEXT),
    "429 as a page": (
        says(response("<h1>Too many requests", 429, "text/html", Retry_After="0")), TEXT),
    "408 that closes": (cut(response(b"", 408, Connection="close")), TEXT),
    "429 without a word": (refuses(429, times=3), TEXT),
    "500": (refuses(500, "CUDA error"), TEXT),
    "502": (refuses(502), TEXT),
    "503 while loading": (refuses(503, "Loading model", times=4), TEXT),
    "504": (refuses(504), TEXT),
    "507": (refuses(507, "insufficient storage"), TEXT),
    "bad gateway as a page": (says(response("<html><center>nginx", 502, "text/html")), TEXT),
    "refusal cut in its body": (cut(response(b"x", 500, Content_Length="999")), TEXT),
    "early hints first": (
        says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n",
             response(whole())), TEXT),
    "HTTP/1.0 that closes": (
        cut(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n",
            json.dumps(whole()).encode()), TEXT),
    "byte order mark": (says(response(b"\xef\xbb\xbf" + json.dumps(whole()).encode())), TEXT),
    "byte order mark in a stream": (
        always(STREAM_HEAD, chunk(b"\xef\xbb\xbf" + data_of(piece_of("A red"))),
               event(piece_of(" square.")), event("[DONE]"), LAST_CHUNK), TEXT),
    "two lengths once": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello"), TEXT),
    "a length below nothing once": (says(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), TEXT),
    "chunks of no size once": (says(STREAM_HEAD, b"zz\r\nhello\r\n"), TEXT),
    "a page in a stream once": (says(STREAM_HEAD, chunk("<html>oops"), LAST_CHUNK), TEXT),
    "an error with 200 once": (says(response({"error": "out of memory"})), TEXT),
    "text in parts": (says(response(whole([{"type": "text", "text": TEXT}]))), TEXT),
    "bytes that are no UTF-8": (
        says(response(b'{"choices":[{"message":{"content":"caf\xc3\xa9"}}]}')), "café"),
    "stop text left in": (says(response(whole("A red square. STOP more"))), TEXT),
    "stop text across pieces": (
        hangs(STREAM_HEAD, *(event(piece_of(t)) for t in ("A red", " square. ST", "OP"))), TEXT),
}  # fmt: skip

# What the server does, what is said of it, and how often it is asked.
FAILS = {
    "closed every time": (always(close=True), "the line", TRIES),
    "cut every time": (cut(STREAM_HEAD, event(pieces()[0]), times=99), "line", TRIES),
    "page every time": (always(response("<!doctype html><p>x", kind="text/html")), "web page", 4),
    "null every time": (always(response(whole(None))), "no text", TRIES),
    "empty every time": (always(response(b"")), "empty", TRIES),
    "list": (always(response(b"[1]")), "another form", TRIES),
    "deep": (always(response(b"[" * 100_000)), "no whole JSON|another form", TRIES),
    "no choices": (always(response({"choices": []})), "no choices", TRIES),
    "choice of nothing": (always(response({"choices": [{}]})), "no message", TRIES),
    "no content": (always(response(b"", 204)), "status 204", 1),
    "error every time": (refuses(500, "boom", times=99), "status 500. It says: boom", TRIES),
    "compressed": (
        always(response(gzip.compress(bytes(1 << 20)), Content_Encoding="gzip")), "compressed", 4),
    "a body without end": (
        forever(STREAM_HEAD.replace(b"text/event-stream", b"application/json"),
                chunk(b" " * 65536)), "more than 1,048,576 bytes", TRIES),
    "a stream without end": (
        forever(STREAM_HEAD, chunk(f": {'x' * 61}\n" * 1024)), "more than 2,097,152 bytes", TRIES),
    "an event without end": (forever(STREAM_HEAD, chunk("data: " + "x" * 65_536)), "no end", 4),
    "400 without a body": (refuses(400), "status 400", 1),
    "400": (refuses(400, "top_k must be positive"), "It says: top_k must be positive", 1),
    "context": (refuses(400, "maximum context length is 4096"), "more context", 1),
    "context, llama.cpp": (
        refuses(400, "the request exceeds the available context size"), "more context", 1),
    "no vision": (refuses(400, "m is not a multimodal model"), "vision model", 1),
    "no vision, with a 500": (
        refuses(500, "this model is missing data required for image input"), "vision model", 1),
    "401": (refuses(401, f"Incorrect API key provided: {KEY}."), "provided: ….*key_variable", 1),
    "403": (refuses(403), "key_variable", 1),
    "404": (refuses(404, "The model `m` does not exist."), "a model that the server has", 1),
    "413": (refuses(413, "Request Entity Too Large"), "smaller pictures", 1),
    "422 as FastAPI": (
        always(response({"detail": [{"msg": "Field required"}]}, 422)), "Field required", 1),
    **{f"{status} to a stranger": (sends_on(status, lambda: STRANGER.origin), "another address", 1)
       for status in (300, 301, 302, 303, 307, 308)},
    "307 to itself": (sends_on(307, lambda: "/v1/chat/completions"), "another address", 1),
    "302 to nowhere": (refuses(302), "another address", 1),
    "302 to a file": (sends_on(302, lambda: "file:///etc/passwd"), "another address", 1),
    "101": (always(response(b"", 101, Upgrade="h2c", Connection="Upgrade")), "status 101|line", 4),
    "407": (refuses(407, "proxy"), "status 407. It says: proxy", 1),
    "400 as a page": (
        always(response("<html>no", 400, "text/html")), "status 400. Look at the settings", 1),
    "400 without end": (
        forever(CHUNKED_400, chunk(b"x" * 65_536)), "status 400. Look at the settings", 1),
    "400 of other letters": (always(response(b'{"error":"\xff\xfe no"}', 400)), "status 400", 1),
    "400 with signs that turn text": (
        refuses(400, "top_k \u202e\x1b[31m\x00bad"), r"It says: top_k \[31mbad", 1),
    "400 compressed": (
        always(response(gzip.compress(b'{"error":"no"}'), 400, Content_Encoding="gzip")),
        "compressed", TRIES),
    "compressed as brotli": (always(response(b"x", Content_Encoding="br")), "compressed", TRIES),
    "a gigabyte as said": (long_body(b"application/json", 1 << 30), "more than 1,048,576", TRIES),
    "a gigabyte by and by": (long_body(b"application/json"), "more than 1,048,576", TRIES),
    "headers without end": (
        forever(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65_536), "the line was cut", TRIES),
    "truncated JSON every time": (
        always(response(b'{"choices": [{"message": {"cont')), "no whole JSON", TRIES),
    "key in an error": (
        refuses(500, f"bad Authorization: Bearer {KEY}", times=99), "Bearer ….", TRIES),
    "key in a stream's error": (
        always(*stream({"error": {"message": f"who is {KEY}?"}})), "who is …", TRIES),
    "key in a page": (
        always(response(f"<html>Authorization: {KEY}", kind="text/html")), "web page", TRIES),
    "an error with 200": (
        always(response({"error": "Unexpected endpoint or method. (POST /x)"})),
        "Unexpected endpoint", TRIES),
    "context, with 200": (
        always(response({"error": {"message": "the context overflows"}})), "more context", 1),
    "context, in a stream": (
        always(*stream({"error": {"message": "Context size has been exceeded."}})),
        "more context", 1),
    "no vision, in a stream": (
        always(*stream({"error": {"message": "Model does not support images."}})),
        "vision model", 1),
    "filter": (always(response(whole("x", "content_filter"))), "content filter", 1),
}  # fmt: skip

# What never comes to an end: told when the time is over, by the deadline or by what it said last.
LATE = {
    "silent": hangs(),
    "silent after a status": hangs(b"HTTP/1.1 200 OK\r\n"),
    "silent after headers": hangs(STREAM_HEAD),
    "silent in a stream": hangs(STREAM_HEAD, event(pieces()[0])),
    "silent in a body": hangs(response(whole(), Content_Length="9999")),
    "silent in a refusal": hangs(response(b"", 400, Content_Length="9999")),
    "503 for ever": refuses(503, "Loading model", times=10**9),
    "429 for ever": refuses(429, "Loading model", times=10**9, Retry_After="0.05"),
    "headers by drips": drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "body by drips": drips(response(b"", Content_Length="99999"), b" "),
    "refusal by drips": drips(response(b"", 500, Content_Length="99999"), b" "),
    "comments by drips": drips(STREAM_HEAD, chunk(": ping\n\n")),
    "words by drips": drips(STREAM_HEAD, event(piece_of("la "))),
    "thoughts by drips": drips(
        STREAM_HEAD, event({"choices": [{"delta": {"reasoning_content": "hm "}}]})),
    "early hints for ever": drips(b"", b"HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n"),
}  # fmt: skip
