"""Train the demo checkpoint: python -m training.train --compile --minutes 16 [--resume].

Lessons are drawn by worker processes without end, so nothing is seen twice and the training
figures are also figures on unseen scenes. The rate follows the clock: it falls to zero when
the minutes are over. `--stop-after` leaves earlier, `--resume` goes on from the last save.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from checkpoint import checkpoint_files, tokens
from checkpoint.export_weights import exported
from torch import Tensor

from training import packing
from training.cell_loss import CellHeads
from training.feed import Feed
from training.network import Network
from training.optim import optimizers

RUN = checkpoint_files.DEMO_MODEL / "runs" / "last"
LOG_SECONDS = 25
SAVE_SECONDS = 150


class Lessons(torch.utils.data.IterableDataset):
    """Endless batches; worker w of run r draws its own, from one seed."""

    def __init__(self, seed: int, budget: int, shares: dict[str, float], reach: float = 1.0):
        self.seed, self.budget, self.shares, self.reach = seed, budget, shares, reach

    def __iter__(self):
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        rng = random.Random(self.seed * 1000 + (worker.id if worker else 0))
        while True:
            family = rng.choices(list(self.shares), list(self.shares.values()))[0]
            yield from packing.draw_batches(rng, family, self.budget, self.reach)


class Figures:
    """Loss, right tokens and wholly right answers by task since the last report."""

    def __init__(self, device: torch.device):
        self.sums = torch.zeros(5, len(packing.TASKS), device=device)
        self.cells = torch.zeros(2, device=device)

    def add(self, loss: Tensor, right: Tensor, of_cells: Tensor, batch: dict[str, Tensor]) -> None:
        """Count one batch."""
        self.cells += torch.stack((of_cells, torch.ones_like(of_cells)))
        tasks, talks, talk_tasks = batch["tasks"], batch["talks"], batch["talk_tasks"]
        for k, value in enumerate((torch.ones_like(loss), loss, right.float())):
            self.sums[k].index_add_(0, tasks, value)
        wrong = torch.zeros(len(talk_tasks), device=loss.device).index_add_(
            0, talks, (~right).float()
        )
        self.sums[3].index_add_(0, talk_tasks, (wrong == 0).float())
        self.sums[4].index_add_(0, talk_tasks, torch.ones_like(wrong))

    def report(self) -> dict[str, tuple[float, float, float]]:
        """task -> (loss, share of right tokens, share of wholly right answers), then start anew."""
        count, loss, right, whole, talks = self.sums.tolist()
        of_cells, steps = self.cells.tolist()
        self.sums.zero_()
        self.cells.zero_()
        found = {
            name: (loss[k] / count[k], right[k] / count[k], whole[k] / talks[k])
            for k, name in enumerate(packing.TASKS)
            if count[k]
        }
        return {"cells": (of_cells / max(steps, 1), 0.0, 0.0)} | found


def forward_loss(
    network: Network,
    heads: CellHeads,
    batch: dict[str, Tensor],
    figures: Figures,
    cell_weight: float,
) -> Tensor:
    """Mean loss in which an answer of n tokens weighs sqrt(n), and the loss of the cells."""
    device = batch["ids"].device
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        seen, logits = network(
            batch["pixels"],
            batch["ids"],
            batch["positions"],
            batch["segments"],
            batch["slots"],
            batch["wanted"],
        )
        of_cells = heads(seen, batch["cells"])
    each = F.cross_entropy(logits.float(), batch["answers"], reduction="none")
    with torch.no_grad():
        figures.add(each.detach(), logits.argmax(-1) == batch["answers"], of_cells, batch)
    return (each * batch["weights"]).sum() / batch["weights"].sum() + cell_weight * of_cells


def rate(done: float, step: int, warm_steps: int) -> float:
    """Share of the peak rate when `done` (0 to 1) of the time is over."""
    return min(1.0, (step + 1) / warm_steps) * min(1.0, max(0.0, (1.0 - done) / 0.75))


def compile_blocks(network: Network) -> None:
    """Fuse the pointwise work inside each block; sizes stay free."""
    torch._dynamo.config.cache_size_limit = 64
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for every shape
    for block in (*network.model.visual.blocks, *network.model.language_model.layers):
        block.compile(dynamic=True)


def save(folder: Path, network: Network, heads: CellHeads, optims, state: dict) -> None:
    """Everything that `--resume` needs, replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "network": network.state_dict(),
            "heads": heads.state_dict(),
            "optims": [o.state_dict() for o in optims],
            "state": state,
        },
        folder / "part.pt",
    )
    (folder / "part.pt").replace(folder / "state.pt")


def train(options: argparse.Namespace) -> dict:
    """Run until the time or the steps are over; returns the last figures."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not (checkpoint_files.CHECKPOINT / "tokenizer.json").exists():
        checkpoint_files.write(tokens.build(tokens.corpus()))
    state = {"step": 0, "seconds": 0.0, "talks": 0, "pictures": 0, "again": 0, "runs": 0}
    shares = packing.SHARES | json.loads(options.shares)
    saved = torch.load(options.folder / "state.pt", map_location="cpu") if options.resume else None
    if saved:
        state = saved["state"]
    data = Lessons(options.seed + 77 * state["runs"], options.budget, shares, options.reach)
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=None,
        num_workers=options.workers,
        in_order=False,
        prefetch_factor=16 if options.workers else None,
    )
    feed = Feed(iter(loader), device)  # before CUDA starts: workers are forks
    torch.manual_seed(options.seed)
    config = json.loads(options.config.read_text(encoding="utf-8"))
    network = Network(config).to(device)
    heads = CellHeads(config["text_config"]["hidden_size"]).to(device)
    optims = optimizers(network, heads, options.muon_lr, options.adam_lr)
    if options.start_from:
        network.load_state_dict(exported(options.start_from))
    if saved:
        network.load_state_dict(saved["network"])
        heads.load_state_dict(saved["heads"])
        for optimizer, kept in zip(optims, saved["optims"], strict=False):
            optimizer.load_state_dict(kept)
    state["runs"] += 1
    if options.compile:
        compile_blocks(network)
    return _loop(options, feed, network, heads, optims, state)


def _loop(options, feed, network, heads, optims, state) -> dict:
    figures, start, spent_before = Figures(feed.device), time.monotonic(), state["seconds"]
    logged = saved = start
    waited, last = 0.0, {}
    while True:
        now = time.monotonic()
        state["seconds"] = spent_before + now - start
        done = state["seconds"] / (options.minutes * 60)
        over = done >= 1 or now - start > options.stop_after * 60 or state["step"] >= options.steps
        if over or now - logged > LOG_SECONDS:
            last = figures.report()
            print(_line(state, now - logged, waited, last), _loudness(network), flush=True)
            logged, waited = time.monotonic(), 0.0
        if over or now - saved > SAVE_SECONDS:
            save(options.folder, network, heads, optims, state)
            saved = time.monotonic()
        if over:
            return last
        batch, fresh = feed.next()
        waited += time.monotonic() - now
        for optimizer in optims:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * rate(done, state["step"], options.warm)
        forward_loss(network, heads, batch, figures, options.cell_weight).backward()
        torch.nn.utils.clip_grad_norm_([*network.parameters(), *heads.parameters()], 1.0)
        for optimizer in optims:
            optimizer.step()
            optimizer.zero_grad()
        state["step"] += 1
        state["again"] += not fresh
        state["pictures"] += len(batch["pixels"]) * fresh
        state["talks"] += len(batch["talk_tasks"]) * fresh


def _loudness(network: Network) -> str:
    """What a white patch and its place add to the first sum; places must stay audible."""
    tower = network.model.visual
    white = tower.patch_embed.proj.weight.flatten(1).sum(1).square().mean().sqrt()
    place = tower.pos_embed.weight.square().mean().sqrt()
    return f"patch {white.item():.2f} place {place.item():.2f}"


def _line(state: dict, seconds: float, waited: float, figures: dict) -> str:
    parts = " ".join(
        f"{name} {loss:.3f}/{100 * right:.1f}/{100 * whole:.0f}"
        for name, (loss, right, whole) in figures.items()
    )
    return (
        f"[{state['seconds']:.0f} s step {state['step']} pictures {state['pictures']} "
        f"talks {state['talks']} again {state['again']} "
        f"waited {100 * waited / max(seconds, 1e-6):.0f}%] {parts}"
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=16.0, help="training time over all runs")
    parser.add_argument(
        "--stop-after", type=float, default=1e9, help="minutes after which this run stops"
    )
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=int, default=150_000, help="patches and tokens of a batch")
    parser.add_argument("--reach", type=float, default=1.0, help="below 1: smaller pictures only")
    parser.add_argument("--workers", type=int, default=max(0, (os.cpu_count() or 2) - 4))
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument(
        "--cell-weight", type=float, default=0.3, help="0 with --start-from: its heads are gone"
    )
    parser.add_argument("--warm", type=int, default=100, help="steps over which the rate rises")
    parser.add_argument("--shares", default="{}", help='JSON, e.g. {"pages": 0.2}')
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--start-from", type=Path, help="checkpoint folder whose weights are the start"
    )
    parser.add_argument("--config", type=Path, default=checkpoint_files.CHECKPOINT / "config.json")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--folder", type=Path, default=RUN)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    train(parse())
