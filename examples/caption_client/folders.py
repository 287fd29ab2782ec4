"""Captions one folder, here or on the server, and keeps the account of it whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from qwen3vl_utils.captions.ledger import LEDGER_NAME
from qwen3vl_utils.captions.place import Place
from qwen3vl_utils.text.printable import on_one_line

from .captions import NOT_THERE, SidecarFiles, sweep
from .errors import RunError, UnreachableError
from .jobs import Job
from .json_lines import JsonLines
from .ledger import FAILED, PENDING, SKIPPED, WRITTEN, Ledger, Line, read_ledger
from .parallel import in_parallel
from .pictures import list_pictures, server_folder, unfit_name
from .progress import clear, say
from .prompts import Attempts, run
from .server import Server

ROOTS = ("input", "output", "temp")
NOT_BEGUN = "not begun"
NOT_RUN = "not captioned: the run on this folder ended early"


@dataclass
class Account:
    """What became of one folder; filled while the work goes on, so that a stop loses nothing."""

    job: Job
    ledger: Ledger = field(default_factory=Ledger)
    attempts: Attempts = field(default_factory=Attempts)
    error: str = NOT_BEGUN
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether every caption is there."""
        return not self.error and not self.ledger.counts[FAILED]


async def caption(server: Server, account: Account, retries: int) -> None:
    """Caption the folder of an account; what goes wrong with it is in the account.

    Raises:
        UnreachableError: nothing else can be done either; the account says so too.
        asyncio.CancelledError: stopped; what was finished has been fetched.
    """
    started = time.monotonic()
    try:
        if account.job.folder is None:
            await _caption_on_server(server, account, retries)
        else:
            await LocalRun(server, account, account.job.folder, retries).go()
        account.error = ""
    except asyncio.CancelledError:
        account.error = "interrupted"
        raise
    except (RunError, UnreachableError, OSError, aiohttp.ClientError) as error:
        account.error = str(error) or type(error).__name__
        if isinstance(error, UnreachableError):
            raise
    finally:
        clear()
        account.seconds = time.monotonic() - started


async def _caption_on_server(server: Server, account: Account, retries: int) -> None:
    await check_form(server, account.job)
    name = named(account.job.on_server, await server.form())
    text = await run(server, *account.job.prompt(name), retries, account.attempts)
    account.ledger = read_ledger(text)
    if account.ledger.shortened:
        account.attempts.notes.append(
            "the server shortened its ledger: the counts are of all captions, the lines of some; "
            f"all lines are in {LEDGER_NAME} beside the captions"
        )


def named(name: str, form: dict) -> str:
    """A folder's name as the node knows it; a bare one is below the input folder.

    Unless the server's owner has a root of just that name, which is then in the node's menu.
    """
    name = name.replace("\\", "/").strip("/")
    if "/" in name or name in ROOTS or name in str_choices(form.get("folder")):
        return name
    return f"input/{name}"


def str_choices(widget: object) -> list[str]:
    """The entries of a menu in either of the two forms in which ComfyUI describes one."""
    if not isinstance(widget, list) or not widget:
        return []
    options = widget[0]
    if not isinstance(options, list) and len(widget) > 1 and isinstance(widget[1], dict):
        options = widget[1].get("options")
    return [one for one in options if isinstance(one, str)] if isinstance(options, list) else []


async def check_form(server: Server, job: Job) -> None:
    """Refuse what an older node would not see: ComfyUI drops unknown widgets without a word."""
    form = await server.form()
    missing = sorted(job.new_widgets() - form.keys()) if form else []
    if missing:
        raise RunError(
            f"The node on the server has no {', '.join(missing)}. Update the pack there."
        )


class LocalRun:
    """A folder of this machine: sent, captioned, and the captions brought back."""

    def __init__(self, server: Server, account: Account, folder: Path, retries: int):
        self._server, self._account, self._folder = server, account, folder
        self._retries = retries
        self._job = job = account.job
        self._lines: dict[Place, Line] = {}
        self._ending = job.format
        if job.format == "jsonl":
            self._captions = JsonLines(folder, job.mode)
        else:
            self._captions = SidecarFiles(folder, job.format, job.mode)

    async def go(self) -> None:
        """All of it; the account gets a line for each caption even if it ends early."""
        ledger = self._account.ledger
        ledger.dry_run = self._job.dry_run

        def unlisted(name: str, why: str) -> None:
            ledger.add(name, FAILED, why)

        pictures = list_pictures(self._job, self._folder, unlisted)
        if not pictures and not ledger.lines:
            raise RunError(f"{self._folder} holds no picture that is meant.")
        places = [Place(file, variant) for file in pictures for variant in self._job.variants]
        try:
            todo = self._todo(places)
            if todo and not self._job.dry_run:
                await self._caption(pictures, todo)
        finally:
            for place in places:
                line = self._lines.get(place, Line(place.label, FAILED, NOT_RUN))
                ledger.add(line.name, line.state, line.detail)

    def _todo(self, places: list[Place]) -> list[Place]:
        todo = []
        for place in places:
            if why := self._captions.reason_to_keep(place):
                self._settle(place, SKIPPED, why)
            elif why := unfit_name(place.file):
                self._settle(place, FAILED, why)
            else:
                todo.append(place)
                if self._job.dry_run:
                    self._settle(place, PENDING)
        return todo

    async def _caption(self, pictures: list[str], todo: list[Place]) -> None:
        await check_form(self._server, self._job)
        for folder in {(self._folder / place.file).parent for place in todo}:
            sweep(folder)
        target = server_folder(self._job, self._folder, pictures)
        await self._upload(target, todo)
        sent = [place for place in todo if place not in self._lines]
        if not sent:
            return
        prompt = self._job.prompt(f"input/{target}")
        captions = f"captions/input/{target}"
        try:
            text = await run(self._server, *prompt, self._retries, self._account.attempts)
            node_ledger = read_ledger(text)
        except (RunError, aiohttp.ClientError):
            await self._fetch(captions, sent, None)
            raise
        except asyncio.CancelledError:
            with contextlib.suppress(UnreachableError):
                await self._fetch(captions, sent, None)
            raise
        await self._fetch(captions, sent, node_ledger)
        if node_ledger.shortened:
            self._account.attempts.notes.append(
                "the server shortened its ledger: what it left out counts by its caption"
            )

    async def _upload(self, target: str, todo: list[Place]) -> None:
        """Send the pictures; one that cannot be sent is a line of the ledger."""
        places: dict[str, list[Place]] = {}
        for place in todo:
            places.setdefault(place.file, []).append(place)
        sent = 0

        async def send(file: str) -> None:
            nonlocal sent
            below = file.rpartition("/")[0]
            try:
                where = f"{target}/{below}" if below else target
                await self._server.upload(self._folder / file, where)
            except (RunError, OSError) as error:
                for place in places[file]:
                    self._settle(place, FAILED, str(error))
            sent += 1
            say(f"uploaded {sent} of {len(places)} ...")

        await in_parallel(send, places)

    async def _fetch(self, folder: str, sent: list[Place], node_ledger: Ledger | None) -> None:
        """Bring the captions, also those of a run that ended without a ledger.

        A caption counts as written once it stands here.
        """
        said = {line.name: line for line in node_ledger.lines} if node_ledger else {}
        ours = Line("", SKIPPED, "")  # a line that a shortened ledger leaves out says nothing
        wanted = []
        for place in sent:
            line = said.get(on_one_line(place.label)) or said.get(on_one_line(place.file), ours)
            if line.state == FAILED:
                self._settle(place, FAILED, line.detail)
            else:
                wanted.append(place)

        def settle(place: Place, problem: str, kept: bool) -> None:
            line = said.get(on_one_line(place.label), ours)
            if problem == NOT_THERE:
                problem = NOT_THERE if node_ledger else NOT_RUN
            state = SKIPPED if kept else FAILED if problem else WRITTEN
            self._settle(place, state, problem or (line.detail if line.state == WRITTEN else ""))

        await self._captions.fetch(self._server, folder, wanted, settle)

    def _settle(self, place: Place, state: str, detail: str = "") -> None:
        self._lines[place] = Line(place.label, state, detail)
