"""What the client costs: requests a second against a server that only waits.

python tests/bench/client_side.py [--latency 0.5] [--in-flight 256] [--seconds 20] [--side 320]
    [--sent bmp]

The server is a process of its own, so that its work is not counted as the client's; both share the
machine's cores. The most that could be is in flight / latency.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "support")]


def serve(latency: float, port) -> None:
    """A server that answers everything after `latency` seconds."""
    from scripted_server import ScriptedServer, response, send, whole

    body = response(whole("A red square, a yellow star and a pink cross."))

    async def script(_seen, writer):
        await asyncio.sleep(latency)
        await send(writer, body)

    with ScriptedServer(script) as server:
        server.seen = type("Count", (list,), {"append": lambda *_: None})()
        port.value = server.port
        time.sleep(3600)


def main() -> None:
    """Print a line with what was asked and what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--latency", type=float, default=0.5)
    options.add_argument("--in-flight", type=int, default=256)
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--side", type=int, default=320)
    options.add_argument("--sent", choices=("bmp", "png", "jpeg"), default="bmp")
    chosen = options.parse_args()
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(chosen.latency, port), daemon=True)
    server.start()
    while not port.value:
        time.sleep(0.05)

    from qwen3vl_pack import load_pack

    load_pack()
    import numpy as np
    from qwen3vl_nodes.loaders.servers.dialects.known import DIALECTS
    from qwen3vl_nodes.loaders.servers.remote_engine import RemoteEngine
    from qwen3vl_nodes.loaders.servers.wire import dispatch
    from qwen3vl_nodes.loaders.servers.wire.payload import Terms
    from qwen3vl_nodes.loaders.servers.wire.sending import Rules
    from qwen3vl_nodes.utils.chat.messages import Message
    from qwen3vl_nodes.utils.chat.requests import Request
    from qwen3vl_nodes.utils.images.picture import Picture

    dispatch.STREAMS = 0
    noise = np.random.default_rng(0).integers(0, 256, (chosen.side, chosen.side, 3), np.uint8)
    request = Request((Message("user", (Picture(noise), "What is this?")),))
    began = time.perf_counter()
    until = began + chosen.seconds

    def requests():
        while time.perf_counter() < until:
            yield request

    engine = RemoteEngine(
        Terms(DIALECTS["vllm"], "m", pictures=chosen.sent, min_pixels=1024),
        Rules("bench", "", 600),
        (f"http://127.0.0.1:{port.value}",),
        chosen.in_flight,
    )
    cpu, done, early_mb = time.process_time(), 0, 0.0
    for _, outcome in engine.generate(requests()):
        assert not isinstance(outcome, Exception), outcome
        done += 1
        if done == 4 * chosen.in_flight:
            early_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - began - chosen.latency
    best = chosen.in_flight / chosen.latency
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{chosen.in_flight} in flight, {chosen.latency:g} s each, "
        f"{chosen.side} x {chosen.side} as {chosen.sent}: "
        f"{done / seconds:.1f} requests/s of {best:.1f} ({done / seconds / best:.0%}), "
        f"{(time.process_time() - cpu) / done * 1e3:.2f} ms of CPU each, "
        f"memory {early_mb:.0f} MB early, {peak_mb:.0f} MB at most"
    )
    server.terminate()


if __name__ == "__main__":
    main()
