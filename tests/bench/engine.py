"""Measures engines on random weights of the published shapes; one JSON line each.

    python tests/bench/engine.py --size 2B --batch 1 32 64 --contender generate-1 fast --json out

Keys: ttft_s, seconds from the file on disk to the first token of the first picture;
decode_tok_s and ms_step, of the median step with every row running; limit_fraction, that step
against reading weights and KV once at 3.0 TB/s; error, of packed weights (mean over layers of
|lost| / |weight|); weights_gb, what the module takes; captions_s, pictures a second from disk to
text; peak_gb; warmup_s, the first small run. Medians of `--repeat` runs. `vllm` where it can be
imported, beside ours with the same keys as far as it tells (`vllm_contender.py`).
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("", "support")]
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import torch
from qwen3vl_pack import load_pack

load_pack()

# ruff: noqa: E402 - the pack has no name before it is loaded
from qwen3vl_nodes.loaders.engine.fast import FastEngine
from qwen3vl_nodes.loaders.engine.reference import left_padded
from qwen3vl_nodes.loaders.engine.request.prompt import PromptEncoder
from qwen3vl_nodes.utils.chat.generation_options import GenerationOptions
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Request
from qwen3vl_nodes.utils.images.picture import Picture
from shapes import KINDS, decoded, limit_seconds, make, pack, write_pictures

QUESTION = "Describe this picture in detail."
Times = list[tuple[float, int]]  # (seconds since the start, tokens so far)


def requests(paths: list[Path], lengths: list[int], sampled: bool) -> Iterator[Request]:
    """One request a picture, with exactly so many tokens wanted."""
    for pixels, length in zip(decoded(paths), lengths, strict=True):
        greedy = {} if sampled else {"temperature": 0.0, "presence_penalty": 0.0}
        options = GenerationOptions(max_new_tokens=length, **greedy)
        yield Request((Message("user", (Picture(pixels), QUESTION)),), options)


class Fast:
    """The fast engine with `batch` rows."""

    def __init__(self, module: Any, processor: Any, batch: int):
        # A step for a token: what looking ahead brings depends on the text (`lookahead.py`).
        self.engine = FastEngine(module, processor, most_rows=batch, looks_ahead=False)
        self.engine._end_ids = frozenset()  # exactly as many tokens as wanted

    def run(self, made: Iterator[Request], lengths: list[int]) -> Times:
        """Answer all; the times of every step."""
        times, began = [], time.perf_counter()
        if self.engine._stepper and self.engine._stepper.prefix:
            _forget(self.engine)
        for _ in self.engine.generate(
            made, lambda p: times.append((time.perf_counter() - began, p.tokens))
        ):
            pass
        return [*times, (time.perf_counter() - began, sum(lengths))]

    def close(self) -> None:
        """Give memory back."""
        self.engine.close()


def _forget(engine: FastEngine) -> None:
    """Every run reads its pictures anew."""
    while engine._stepper.prefix.evict():  # type: ignore[union-attr]
        pass


class Generate:
    """`transformers.generate` on left-padded batches."""

    def __init__(self, module: Any, processor: Any, batch: int):
        self.module, self.batch = module, batch
        self.encoder = PromptEncoder(processor)
        self.module.generation_config.eos_token_id = None
        self.module.generation_config.pad_token_id = processor.tokenizer.pad_token_id

    @torch.inference_mode()
    def run(self, made: Iterator[Request], lengths: list[int]) -> Times:
        """Answer all, batch by batch, each to its longest; the times of every step."""
        times, began, done = [], time.perf_counter(), 0
        device = self.module.lm_head.weight.device
        for start in range(0, len(lengths), self.batch):
            group = lengths[start : start + self.batch]
            prompts = [self.encoder.encode(next(made)) for _ in group]
            steps = []

            def watch(
                ids: Any,
                scores: Any,
                steps: list = steps,
                base: int = done,
                n: int = len(group),
                **_: Any,
            ) -> Any:
                steps.append(ids[0, -1].item())  # waits for the token, as any reader must
                times.append((time.perf_counter() - began, base + len(steps) * n))
                return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

            inputs = left_padded(prompts, self.module.generation_config.pad_token_id)
            self.module.generate(
                **{name: tensor.to(device) for name, tensor in inputs.items()},
                do_sample=False,
                max_new_tokens=max(group),
                stopping_criteria=[watch],
            )
            done += len(group) * max(group)
        return [*times, (time.perf_counter() - began, done)]

    def close(self) -> None:
        """Nothing is held."""


def measure(contender: Any, batch: int, args: Any, paths: list[Path], module: Any) -> dict:
    """One JSON line."""
    lengths = wanted_lengths(args, len(paths))
    cuda = module.lm_head.weight.device.type == "cuda"
    resident = torch.cuda.memory_allocated() if cuda else 0
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    contender.run(requests(paths[:batch], [4] * batch, args.sampled), [4] * batch)
    warmup = time.perf_counter() - began
    runs = [
        contender.run(requests(paths[: len(lengths)], lengths, args.sampled), lengths)
        for _ in range(args.repeat)
    ]
    wave = contender.run(
        requests(paths[:batch], [args.new] * batch, args.sampled), [args.new] * batch
    )
    step = _step(wave, batch)
    tokens = (1024 if args.size != "demo" else 16) + 20 + args.new / 2
    limit = limit_seconds(module, batch, tokens)
    return {
        "ttft_s": round(float(np.median([_first(run) for run in [wave, *runs]])), 4),
        "decode_tok_s": round(batch / step, 1),
        "ms_step": round(step * 1e3, 3),
        "limit_fraction": round(limit / step, 3),
        "captions_s": round(len(lengths) / float(np.median([run[-1][0] for run in runs])), 2),
        "weights_gb": round(resident / 2**30, 2),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else 0.0,
        "warmup_s": round(warmup, 2),
    }


def wanted_lengths(args: Any, count: int) -> list[int]:
    """How many tokens each picture gets."""
    rng = np.random.default_rng(11)
    return rng.integers(16, 401, count).tolist() if args.mixed else [args.new] * count


def _first(run: Times) -> float:
    return next(seconds for seconds, tokens in run if tokens > 0)


def _step(run: Times, batch: int) -> float:
    """Median seconds between turns in which every row got a token."""
    pairs = zip(run, run[1:-1], strict=False)
    steps = [later[0] - now[0] for now, later in pairs if later[1] - now[1] == batch]
    return float(np.median(steps[2:] or steps or [float("nan")]))


def main() -> None:
    """Parse, build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("2B", "4B", "8B", "30B-A3B", "demo"), default="demo")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    names = ("generate-1", "generate-batch", "fast", "vllm")
    parser.add_argument("--contender", nargs="+", choices=names, default=["fast"])
    parser.add_argument("--set", choices=("A", "B"), default="A")
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--mixed", action="store_true", help="16 to 400 tokens, seeded")
    parser.add_argument("--sampled", action="store_true", help="the official sampling")
    parser.add_argument("--waves", type=float, default=2, help="pictures for each row")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--weights", choices=("bf16", *KINDS), default="bf16")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    own = [name for name in args.contender if name != "vllm"]
    if own:
        _measure_own(own, args)
    if "vllm" in args.contender:
        args.error = None
        for found in _vllm(args):
            _report(args, found)


def _vllm(args: Any) -> list[dict]:
    """Lines of vLLM, which needs a process and the card for itself."""
    gc.collect()
    torch.cuda.empty_cache()
    counts = [max(1, int(batch * args.waves)) for batch in args.batch]
    plan = {key: getattr(args, key) for key in ("size", "weights", "set", "new", "repeat", "batch")}
    plan["lengths"] = [wanted_lengths(args, count) for count in counts]
    script = Path(__file__).with_name("vllm_contender.py")
    done = subprocess.run(
        [sys.executable, str(script), "--plan", json.dumps(plan)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return [
        json.loads(line) for line in done.stdout.splitlines() if line.startswith(b'{"contender')
    ]


def _measure_own(names: list[str], args: Any) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module, processor = make(args.size, device)
    args.error = round(pack(module, args.weights), 4) if args.weights != "bf16" else 0.0
    with tempfile.TemporaryDirectory() as folder:
        most = int(max(args.batch) * args.waves)
        paths = write_pictures(Path(folder), most, args.set, args.size == "demo")
        for name in names:
            for batch in [1] if name == "generate-1" else args.batch:
                kind = Fast if name == "fast" else Generate
                contender = kind(module, processor, batch)
                mine = paths[: max(1, int(batch * args.waves))]
                found = measure(contender, batch, args, mine, module)
                contender.close()
                _report(args, {"contender": name, "batch": batch} | found)


def _report(args: Any, found: dict) -> None:
    head = {"size": args.size, "weights": args.weights, "error": args.error, "set": args.set}
    line = json.dumps(head | found)
    print(line, flush=True)
    if args.json:
        with args.json.open("a") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
