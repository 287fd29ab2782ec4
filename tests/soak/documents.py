"""Documents through a real ComfyUI: a folder of PDFs that is stopped and resumed, and a long PDF.

    python tests/soak/documents.py --csv tests/soak/long_pdf.csv --plot tests/soak/long_pdf.png

Thirty PDFs of two pages of the demo world, one of them encrypted and one broken, are read by the
node Document Folder: interrupted in the middle, resumed, the server killed in the middle, resumed,
and run once more. No text may change once it is there, each ledger must add up, and the texts are
compared with what is printed. Then a PDF of 60 pages is read by Document, page by page, and the
server's memory is noted whenever a page is done.
"""

# ruff: noqa: E402 (the demo modules are found by path)
from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import queue_runs as runs

sys.path.insert(0, str(runs.TESTS / "support"))

from evaluation import scores
from long_film import plot
from pdf_files import encrypted, picture_pdf
from PIL import Image
from world import pages

FIRST_SEED = 6_000_000
DOCUMENTS, PAGES, LONG = 30, 2, 60
ENCRYPTED, BROKEN = 7, 19
SIZE_WH = (595, 760)  # a pixel a point
ENDS = ("execution_success", "execution_error", "execution_interrupted")
Seen = dict[str, tuple[int, str]]


def drawn_pages(first: int, count: int) -> list[pages.Page]:
    """Pages that training never saw."""
    return [pages.random_page(random.Random(FIRST_SEED + first + n), SIZE_WH) for n in range(count)]


def write_documents(folder: Path) -> dict[str, str]:
    """The PDFs; by name, the words that are printed in the good ones."""
    folder.mkdir(parents=True)
    truth = {}
    for number in range(DOCUMENTS):
        path = folder / f"document {number:02d}.pdf"
        made = drawn_pages(number * PAGES, PAGES)
        data = picture_pdf([page.draw() for page in made])
        if number == ENCRYPTED:
            data = encrypted("secret")
        elif number == BROKEN:
            data = data[: len(data) // 3]
        else:
            lines = [line.text for page in made for block in page.blocks for line in block.lines]
            truth[path.name] = " ".join(lines)
        path.write_bytes(data)
    return truth


def loader() -> dict:
    """The loader and greedy options of the other soaks."""
    prompt = runs.folder_prompt("", max_new_tokens=400)
    return {name: prompt[name] for name in "12"}


def folder_prompt() -> dict:
    """Document Folder on the thirty."""
    inputs = {
        "folder": "input/documents", "recursive": False, "write": "Markdown, by way of HTML",
        "seed": 0, "mode": "skip existing", "place": "beside the picture", "format": "md",
        "dpi": 72.0, "model": ["1", 0], "options": ["2", 0],
    }  # fmt: skip
    return loader() | {"3": {"class_type": "Qwen3VLDocumentFolder", "inputs": inputs}}


def long_prompt() -> dict:
    """Load PDF and Document on the long one."""
    pdf = {
        "pdf_file": "input/long.pdf", "page_range": "", "dpi": 72.0, "max_pages": LONG,
        "give": "pages one by one", "password": "", "turned": "upright",
    }  # fmt: skip
    document = {
        "write": "HTML", "pages_as": "page by page", "seed": 0,
        "unreadable": "leave the image empty", "model": ["1", 0], "options": ["2", 0],
        "pages": ["4", 1],
    }  # fmt: skip
    return loader() | {
        "4": {"class_type": "Qwen3VLLoadPDF", "inputs": pdf},
        "3": {"class_type": "Qwen3VLDocument", "inputs": document},
    }


def texts_in(folder: Path) -> Seen:
    """When each text was written, and what it says."""
    return {p.name: (p.stat().st_mtime_ns, p.read_text("utf-8")) for p in folder.glob("*.md")}


def counts_of(entry: dict) -> dict[str, int]:
    """The last line of a ledger."""
    assert runs.hosting.error_of(entry) == "", runs.hosting.error_of(entry)
    closing = entry["outputs"]["3"]["text"][0].splitlines()[-1]
    counts = {word: int(n) for word, n in (part.split() for part in closing.split(", "))}
    assert sum(counts.values()) == DOCUMENTS, f"{closing} of {DOCUMENTS}"
    return counts


def wait_for(server: runs.hosting.Server, folder: Path, prompt_id: str, texts: int) -> Seen:
    """Once so many texts are there."""
    while len(seen := texts_in(folder)) < texts:
        assert prompt_id not in server.get(f"/history/{prompt_id}"), "it ended too early"
        time.sleep(0.02)
    return seen


def stopped_and_resumed(comfyui: Path, base: Path) -> None:
    """The thirty documents, with an interrupt and a kill on the way."""
    folder = base / "input" / "documents"
    truth = write_documents(folder)
    with runs.hosting.Server(comfyui, base) as server:
        prompt_id = server.queue(folder_prompt())
        wait_for(server, folder, prompt_id, 9)
        server.post("/interrupt", {})
        assert runs.hosting.error_of(server.wait(prompt_id)), "it was not interrupted"
        first = texts_in(folder)
        print(f"interrupted with {len(first)} texts", flush=True)
        prompt_id = server.queue(folder_prompt())
        second = wait_for(server, folder, prompt_id, 20)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    second = texts_in(folder)
    print(f"killed with {len(second)} texts", flush=True)
    with runs.hosting.Server(comfyui, base) as server:
        last_entry = server.run(folder_prompt())
        third, counts = texts_in(folder), counts_of(last_entry)
        again = counts_of(server.run(folder_prompt()))
    ledger = last_entry["outputs"]["3"]["text"][0]
    print(f"the last ledger: {counts}; once more: {again}")
    print("\n".join(line for line in ledger.splitlines() if line.startswith("failed ")))
    assert first.items() <= second.items() <= third.items(), "a text was written twice"
    assert texts_in(folder) == third, "the run with nothing to do wrote something"
    assert counts == {"written": 28 - len(second), "skipped": len(second), "failed": 2}
    assert again == {"written": 0, "skipped": 28, "failed": 2}
    assert not [p for p in folder.rglob("*") if "qwen3vl-tmp" in p.name], "a half-written file"
    assert sorted(third) == sorted(f"{name}.md" for name in truth)
    read = [scores.words_right(bare(third[f"{n}.md"][1]), words) for n, words in truth.items()]
    right, total = (sum(part) for part in zip(*read, strict=True))
    print(f"{right} of {total} words right")


def bare(text: str) -> str:
    """The words of a Markdown text."""
    return " ".join(text.replace("|", " ").replace("#", " ").split())


async def memory_over_pages(server: runs.hosting.Server) -> tuple[list[tuple[float, float]], str]:
    """(pages done, resident MB) at each progress of the node, and how the run ended."""
    samples: list[tuple[float, float]] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws?clientId=soak", max_msg_size=0) as socket,
    ):
        body = {"prompt": long_prompt(), "client_id": "soak"}
        async with session.post(f"{server.url}/prompt", json=body) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            data = event.get("data") or {}
            told = event["type"] == "progress" and data.get("node") == "3"
            if told and data["max"] == LONG:  # the weights have a bar of their own
                statm = Path(f"/proc/{server.process.pid}/statm").read_text()
                print(f"{data['value']} pages", end="\r", flush=True)
                samples.append((float(data["value"]), int(statm.split()[1]) * 4096 / 1e6))
            if event["type"] in ENDS and data.get("prompt_id") == prompt_id:
                return samples, event["type"]
    raise AssertionError("the websocket closed")


def long_document(comfyui: Path, base: Path) -> list[tuple[float, float]]:
    """Reads the long PDF; the server's memory."""
    (base / "input").mkdir(exist_ok=True)
    shown = [page.draw() for page in drawn_pages(1000, LONG)]
    path = base / "input" / "long.pdf"
    path.write_bytes(picture_pdf(shown))
    with runs.hosting.Server(comfyui, base) as server:
        started = time.monotonic()
        samples, end = asyncio.run(memory_over_pages(server))
        assert end == "execution_success", end
    done = [mb for at, mb in samples if at >= 1]
    print(
        f"{LONG} pages in {time.monotonic() - started:.0f} s: {done[0]:.0f} MB after one, "
        f"at most {max(done):.0f} MB, {done[-1]:.0f} MB at the end"
    )
    return samples


def main() -> int:
    """Run, check, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--long-only", action="store_true")
    chosen = parser.parse_args()
    comfyui = runs.hosting.find_comfyui()
    assert comfyui is not None, "needs a ComfyUI checkout"
    if not chosen.long_only:
        with tempfile.TemporaryDirectory() as base:
            stopped_and_resumed(comfyui, Path(base))
    with tempfile.TemporaryDirectory() as base:
        samples = long_document(comfyui, Path(base))
    last = dict(samples)
    if chosen.csv:
        rows = "".join(f"{at:g},{mb:.1f}\n" for at, mb in sorted(last.items()))
        chosen.csv.write_text("pages_done,resident_mb\n" + rows)
    if chosen.plot:
        lines = {"page by page": sorted(last.items())}
        plot(lines, chosen.plot, f"a PDF of {LONG} pages is read")
        with Image.open(chosen.plot) as picture:
            picture.convert("P", palette=Image.Palette.ADAPTIVE).save(chosen.plot, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
