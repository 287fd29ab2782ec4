"""Captions a folder of pictures through the queue of a running ComfyUI.

    python caption_folder.py --folder ~/pictures --model Qwen3-VL-4B-Instruct

The pictures are uploaded into a folder of their own below the server's input folder, the workflow
`api/caption_folder.json` runs on it, and the captions come back as .txt files beside your
pictures. A caption that is there already stays, and its picture is not sent, unless you say
--overwrite. Interrupted or failed: run it again, finished captions are not made twice.

With --on-server NAME the pictures already lie in the folder NAME below the server's input folder:
nothing is uploaded, and the captions are written there, beside them.

Exit code: 0 if every picture has its caption, 1 if anything failed. Needs aiohttp, which ComfyUI
brings along.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

WORKFLOW = Path(__file__).with_name("api") / "caption_folder.json"
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".apng", ".avif", ".heic", ".heif", ".jfif", ".mpo"),
)
# The node writes to output/captions/<folder>; ours is named after what was sent.
UPLOADS, CAPTIONS = "caption_folder_client", "captions"
MAX_CAPTION_BYTES = 1024 * 1024
HISTORY_SECONDS = 30.0
SUMMARY = re.compile(r"\n?written (\d+), skipped (\d+), failed (\d+)$")


class RunError(Exception):
    """Ends the run; its text says what happened."""


@dataclass
class Ledger:
    """A line for each picture, the server's and ours, and the counts of both."""

    lines: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: {"written": 0, "skipped": 0, "failed": 0}
    )

    def add(self, state: str, name: str, detail: str) -> None:
        """Enter one picture."""
        self.lines.append(f"{state:8}{name}: {detail}")
        self.counts[state] += 1

    def fail(self, name: str, detail: str) -> None:
        """A picture has no caption here, whatever its line said; a failure stays as it is."""
        for number, line in enumerate(self.lines):
            state, rest = line[:8].strip(), line[8:]
            if rest == name or rest.startswith(f"{name}: "):
                if state != "failed":
                    del self.lines[number]
                    self.counts[state] -= 1
                    self.add("failed", name, detail)
                return

    def take(self, text: str) -> None:
        """Enter the ledger of the node."""
        summary = SUMMARY.search(text)
        if summary is None:
            raise RunError(f"The server's answer is no ledger:\n{text[:1000]}")
        self.lines += text[: summary.start()].splitlines()
        for state, count in zip(self.counts, summary.groups(), strict=True):
            self.counts[state] += int(count)

    def __str__(self) -> str:
        summary = ", ".join(f"{state} {count}" for state, count in self.counts.items())
        return "\n".join([*self.lines, summary])


class Server:
    """The few calls of ComfyUI's HTTP interface that a client needs."""

    def __init__(self, session: aiohttp.ClientSession, url: str):
        self._session = session
        self.url = url.rstrip("/") if "://" in url else f"http://{url}"
        self.client_id = uuid.uuid4().hex

    def listen(self) -> Any:
        """The websocket on which the server tells this client how its prompts go."""
        return self._session.ws_connect(f"{self.url}/ws?clientId={self.client_id}", heartbeat=120)

    async def upload(self, path: Path, subfolder: str) -> None:
        """Put one picture below the input folder."""
        # Quoting would turn spaces and every letter but a-z into %20 and the like.
        fields = {"type": "input", "subfolder": subfolder, "overwrite": "true"}
        form = aiohttp.FormData(fields, quote_fields=False)
        form.add_field("image", path.read_bytes(), filename=path.name)
        async with self._session.post(f"{self.url}/upload/image", data=form) as answer:
            if answer.status == 413:
                raise RunError("the server takes no file of this size (its --max-upload-size)")
            if answer.status != 200 or (await answer.json()).get("name") != path.name:
                raise RunError(f"the server did not take it (HTTP {answer.status})")

    async def queue(self, prompt: dict[str, Any]) -> str:
        """Queue a workflow in API format; returns its prompt id."""
        body = {"prompt": prompt, "client_id": self.client_id}
        async with self._session.post(f"{self.url}/prompt", json=body) as answer:
            if answer.status == 200:
                return (await answer.json())["prompt_id"]
            raise RunError(f"The server refused the workflow: {refusal(await answer.text())}")

    async def history(self, prompt_id: str) -> dict[str, Any]:
        """What became of a finished prompt; the server enters it a moment after its last word."""
        deadline = time.monotonic() + HISTORY_SECONDS
        while time.monotonic() < deadline:
            async with self._session.get(f"{self.url}/history/{prompt_id}") as answer:
                answer.raise_for_status()
                if entry := (await answer.json()).get(prompt_id):
                    return entry
            await asyncio.sleep(0.2)
        raise RunError(f"The server has no history of prompt {prompt_id}.")

    async def caption(self, subfolder: str, filename: str) -> bytes | None:
        """One file of the output folder, None where there is none."""
        query = {"type": "output", "subfolder": subfolder, "filename": filename}
        async with self._session.get(f"{self.url}/view", params=query) as answer:
            if answer.status != 200:
                return None
            data = await answer.content.read(MAX_CAPTION_BYTES + 1)
            return data if len(data) <= MAX_CAPTION_BYTES else None

    async def interrupt(self, prompt_id: str) -> None:
        """Stop a prompt, running or waiting."""
        await self._session.post(f"{self.url}/queue", json={"delete": [prompt_id]})
        await self._session.post(f"{self.url}/interrupt", json={"prompt_id": prompt_id})


def refusal(text: str) -> str:
    """The readable part of the server's answer to a prompt it does not take."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        answer = json.loads(text)
        details = [
            f"{node['class_type']}: {error['message']}: {error['details']}"
            for node in answer["node_errors"].values()
            for error in node["errors"]
        ]
        return "\n".join([answer["error"]["message"], *details])
    return text[:1000]


def pictures_in(folder: Path, recursive: bool) -> list[Path]:
    """The picture files of a folder by name, hidden ones left out."""
    found: list[Path] = []
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        found += [
            Path(current, name)
            for name in sorted(names)
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return found


def workflow(args: argparse.Namespace, folder: str) -> tuple[dict[str, Any], str]:
    """The shared workflow with the settings of this run, and the id of its folder node."""
    prompt = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    ids = {node["class_type"]: node_id for node_id, node in prompt.items()}
    prompt[ids["Qwen3VLLoader"]]["inputs"]["model"] = args.model
    prompt[ids["Qwen3VLCaptionFolder"]]["inputs"] |= {
        "folder": folder,
        "recursive": args.recursive,
        "preset": args.preset,
        "instructions": args.instructions,
        "system_prompt": args.system_prompt,
        "prefix": args.prefix,
        "suffix": args.suffix,
        "seed": args.seed,
        "mode": "overwrite own" if args.overwrite else "skip existing",
        "place": "beside the picture" if args.on_server is not None else "in the output folder",
    }
    return prompt, ids["Qwen3VLCaptionFolder"]


def upload_folder(args: argparse.Namespace, pictures: list[Path]) -> str:
    """A folder name for just these pictures and settings.

    The same run again finds its own captions there, and no other run's pictures.
    """
    digest = hashlib.sha256(json.dumps(workflow(args, "")[0], sort_keys=True).encode())
    for path in pictures:
        digest.update(path.relative_to(args.folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{UPLOADS}/{digest.hexdigest()[:16]}"


def say(line: str, end: str = "") -> None:
    """Write a line over the last one; on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\x1b[K{end}")
        sys.stderr.flush()


def bar(done: float, total: float, started: float, width: int = 30) -> str:
    """The progress bar as text."""
    filled = int(width * done / total) if total else 0
    seconds = time.monotonic() - started
    return f"{'█' * filled}{'·' * (width - filled)} {done:.0f} of {total:.0f}, {seconds:.0f} s"


async def follow(socket: aiohttp.ClientWebSocketResponse, prompt_id: str, node_id: str) -> None:
    """Show the progress of a prompt until its end."""
    started = time.monotonic()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        data = event.get("data") or {}
        if data.get("prompt_id") != prompt_id:
            continue
        if event["type"] == "execution_start":
            say("loading the model ...")
        if event["type"] == "progress" and data.get("node") == node_id:
            say(bar(data["value"], data["max"], started))
        if event["type"] in ("execution_success", "execution_error", "execution_interrupted"):
            say("", end="\r")
            return
    raise RunError("The server closed the connection. The run may go on there; try again later.")


async def run(server: Server, prompt: dict[str, Any], node_id: str) -> str:
    """Queue the workflow, follow it, and return the node's ledger."""
    async with server.listen() as socket:
        prompt_id = await server.queue(prompt)
        try:
            await follow(socket, prompt_id, node_id)
        except asyncio.CancelledError:
            await server.interrupt(prompt_id)
            raise
    entry = await server.history(prompt_id)
    for kind, data in entry["status"]["messages"]:
        if kind in ("execution_error", "execution_interrupted"):
            raise RunError(data.get("exception_message") or "The run was interrupted.")
    return "\n".join(entry["outputs"][node_id]["text"])


async def upload_all(
    server: Server, pictures: list[Path], args: argparse.Namespace, ledger: Ledger
) -> str:
    """Upload pictures; one that cannot be is a line of the ledger. Returns their folder."""
    target = upload_folder(args, pictures)
    for number, path in enumerate(list(pictures), 1):
        place = path.relative_to(args.folder)
        try:
            await server.upload(path, (Path(target) / place.parent).as_posix())
        except RunError as error:
            ledger.add("failed", place.as_posix(), str(error))
            pictures.remove(path)
        say(f"uploaded {number} ...")
    return target


def write_caption(path: Path, data: bytes) -> None:
    """Write a caption whole or not at all."""
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_bytes(data)
    temporary.replace(path)


async def fetch_all(
    server: Server, pictures: list[Path], args: argparse.Namespace, target: str, ledger: Ledger
) -> None:
    """Bring the captions beside the pictures."""
    for path in pictures:
        place = path.relative_to(args.folder)
        caption = path.with_suffix(".txt")
        folder = (Path(CAPTIONS) / target / place.parent).as_posix()
        data = await server.caption(folder, caption.name)
        if data is not None and (args.overwrite or not caption.exists()):
            write_caption(caption, data)
        if not caption.exists() or (data is None and args.overwrite):
            ledger.fail(place.as_posix(), "its caption could not be fetched from the server")


async def caption_local(server: Server, args: argparse.Namespace) -> Ledger:
    """Upload what needs a caption, run, and fetch, also what a run that failed had finished."""
    ledger = Ledger()
    pictures = pictures_in(args.folder, args.recursive)
    if not pictures:
        raise RunError(f"{args.folder} holds no picture.")
    for path in list(pictures):
        if path.with_suffix(".txt").exists() and not args.overwrite:
            ledger.add("skipped", path.relative_to(args.folder).as_posix(), "has a caption")
            pictures.remove(path)
    target = await upload_all(server, pictures, args, ledger) if pictures else ""
    if pictures:
        try:
            ledger.take(await run(server, *workflow(args, target)))
        finally:
            await fetch_all(server, pictures, args, target, ledger)
    return ledger


async def caption_on_server(server: Server, args: argparse.Namespace) -> Ledger:
    """Run on a folder that the server has."""
    ledger = Ledger()
    ledger.take(await run(server, *workflow(args, args.on_server)))
    return ledger


def print_all(text: str) -> None:
    """Print, with a sign in place of each character that the output cannot have.

    Windows writes files and pipes in its own code page, which lacks most of the world's letters.
    """
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


async def main(args: argparse.Namespace) -> int:
    """Caption, print the ledger, and return the exit code."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        server = Server(session, args.server)
        work = caption_local if args.folder else caption_on_server
        try:
            ledger = await work(server, args)
        except (RunError, OSError, aiohttp.ClientError, TimeoutError) as error:
            print(f"{args.server}: {error or type(error).__name__}", file=sys.stderr)
            return 1
    print_all(str(ledger))
    return 1 if ledger.counts["failed"] else 0


def a_path(text: str) -> Path:
    """A path of the command line; the shells of Windows leave ~ to the program."""
    return Path(text).expanduser()


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--folder", type=a_path, help="a folder of pictures on this machine")
    where.add_argument("--on-server", metavar="NAME", help="a folder below the server's input")
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--model", default="Qwen3-VL-Demo", help="a name of the loader's menu")
    parser.add_argument("--preset", default="Short caption", help="a name of the node's menu")
    parser.add_argument("--instructions", default="", help="added to the preset's prompt")
    parser.add_argument("--system-prompt", default="")
    parser.add_argument("--prefix", default="", help="before every caption")
    parser.add_argument("--suffix", default="", help="after every caption")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recursive", action="store_true", help="also folders inside")
    parser.add_argument("--overwrite", action="store_true", help="write captions again")
    args = parser.parse_args()
    if args.folder and not args.folder.is_dir():
        parser.error(f"there is no folder {args.folder}")
    return args


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(arguments())))
    except KeyboardInterrupt:
        sys.exit("Interrupted. Run it again to go on.")
