"""Captions a second of the pack's server engine beside a plain client of the same server.

    python tests/bench/server_engine.py --size 8B --write FOLDER
    vllm serve FOLDER --load-format dummy --served-model-name m … &
    python tests/bench/server_engine.py --size 8B --url http://127.0.0.1:8000 --in-flight 64

writes a published shape's config and processor for a server with random weights, and then measures
one. `pack` is our server engine, from the file on disk to the text; `plain` posts the files' bytes
as they are, made ready before the clock starts; with --local there is no server, and `local` is our
own engine on this card. All ask about the same pictures and for as many tokens, sampled with
nothing cut away, so that random weights do not repeat themselves. One JSON line each: captions_s,
tokens, and cpu_s, this process's processor seconds a picture.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]
sys.path.insert(0, str(Path(__file__).resolve().parent))

from qwen3vl_pack import load_pack

load_pack()

# ruff: noqa: E402 - the pack has no name before it is loaded
import httpx
from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
from qwen3vl_nodes.loaders.servers.remote_engine import RemoteEngine
from qwen3vl_nodes.loaders.servers.wire.payload import Terms
from qwen3vl_nodes.loaders.servers.wire.sending import Rules
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.images.picture import Picture
from shapes import decoded, make, make_folder, write_pictures

QUESTION = "Describe this picture in detail."
SAMPLED = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0, "repetition_penalty": 1.0}


def make_engine(args: Any) -> Any:
    """The pack's engine: a server's, or a local one over random weights."""
    if not args.local:
        terms = Terms(DIALECTS["vllm"], args.model, pictures=args.as_kind)
        return RemoteEngine(terms, Rules("bench", "", 600), (args.url,), args.in_flight)
    import torch
    from qwen3vl_nodes.loaders.engine.fast import FastEngine

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return FastEngine(*make(args.size, device), most_rows=args.in_flight)


def pack(engine: Any, paths: list[Path], args: Any) -> int:
    """Tokens of all answers by our engine."""
    options = GenerationOptions(max_new_tokens=args.new, top_k=0, **SAMPLED)
    requests = (
        Request((Message("user", (Picture(pixels), QUESTION)),), options, seed)
        for seed, pixels in enumerate(decoded(paths))
    )
    replies = dict(engine.generate(requests))
    assert not [one for one in replies.values() if isinstance(one, Exception)], replies
    return sum(reply.tokens for reply in replies.values())  # type: ignore[union-attr]


def bodies(paths: list[Path], args: Any) -> list[bytes]:
    """Requests as a plain client makes them: the files as they are."""
    made = []
    for seed, path in enumerate(paths):
        url = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
        content = [{"type": "image_url", "image_url": {"url": url}},
                   {"type": "text", "text": QUESTION}]  # fmt: skip
        said = {"model": args.model, "messages": [{"role": "user", "content": content}],
                "max_tokens": args.new, "seed": seed, "top_k": -1, **SAMPLED}  # fmt: skip
        made.append(json.dumps(said).encode())
    return made


async def plain(ready: list[bytes], args: Any) -> int:
    """Tokens of all answers, so many requests at once, nothing looked at."""
    limits = httpx.Limits(max_connections=args.in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=600) as client:
        url = f"{args.url}/v1/chat/completions"
        headers = {"Content-Type": "application/json"}
        answers = await asyncio.gather(
            *(client.post(url, content=body, headers=headers) for body in ready)
        )
    return sum(answer.json()["usage"]["completion_tokens"] for answer in answers)


def main() -> None:
    """Write a folder, or measure a server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("2B", "4B", "8B", "demo"), default="demo")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--url")
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--model", default="m")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--as-kind", choices=("png", "bmp", "jpeg"), default="bmp")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    if args.write:
        make_folder(args.size, args.write)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), args.pictures, "A", args.size == "demo")
        engine = make_engine(args)
        pack(engine, paths[:8], args)  # what is compiled for the first pictures
        ready = bodies(paths, args)
        for number in range(args.repeat * (1 if args.local else 2)):
            name = "local" if args.local else ("pack", "plain")[number % 2]
            cpu, began = time.process_time(), time.perf_counter()
            plainly = name == "plain"
            tokens = asyncio.run(plain(ready, args)) if plainly else pack(engine, paths, args)
            seconds = time.perf_counter() - began
            found = {"size": args.size, "client": name, "in_flight": args.in_flight,
                     "sent": "" if name == "local" else args.as_kind if name == "pack" else "file",
                     "captions_s": round(len(paths) / seconds, 2), "tokens": tokens,
                     "cpu_s": round((time.process_time() - cpu) / len(paths), 4)}  # fmt: skip
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
