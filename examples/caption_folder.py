"""Captions folders of pictures through the queue of a running ComfyUI.

    python caption_folder.py --folder ~/pictures --model Qwen3-VL-4B-Instruct
    python caption_folder.py --on-server input/cats --on-server photos/2024 --format jsonl
    python caption_folder.py --jobs jobs.json --json report.json

--folder: the pictures are uploaded into a folder of their own below the server's input folder
(input/caption_folder_client/...), the workflow api/caption_folder.json runs on it, and the
captions come back beside your pictures. A caption that is there already stays, and its picture is
not sent. --mode 'overwrite own' (or --overwrite) replaces what this client wrote here and nobody
edited since, 'overwrite all' with --allow-overwrite-all every caption. 'append to captions' and
'prepend to captions' work with --on-server only: from here, nobody could tell after a stop which
captions already hold the new words. --format jsonl adds its lines to your captions.jsonl.

--on-server: the pictures already lie on the server in a folder of the node's menu: input/pics,
output/x, photos/2024. A bare name means one below the input folder, so pics is input/pics, but
sets/cats of old has to be said input/sets/cats. Nothing is uploaded or fetched.

--jobs: a JSON file with a list of folders and their settings, named as the flags are, such as
[{"folder": "cats", "preset": "Tags"}, {"on_server": "input/dogs", "replace": ["a => b"]}].
Flags beside it hold for every folder that does not say otherwise.

Every folder is a prompt of its own in the queue; they run one after the other, and one that is
given twice with the same settings is done once. If the server goes away, the client waits for it
(--wait) and queues again what was lost; captions that are finished are not made twice. Interrupted
or failed: run it again to go on.

Exit code: 0 every caption is there, 1 something failed, 2 wrong usage, 3 the server could not be
reached, 130 interrupted (Ctrl-C or SIGTERM: the prompt is stopped, what is finished is fetched).
Needs aiohttp, and PyYAML for further presets; ComfyUI brings both along.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import aiohttp
from caption_client.command_line import Options, options
from caption_client.errors import UnreachableError
from caption_client.folders import NOT_BEGUN, Account, caption
from caption_client.ledger import closing_line, total
from caption_client.report import as_json, report, write_report
from caption_client.server import Server

ALL_THERE, SOME_FAILED, UNREACHABLE, INTERRUPTED = 0, 1, 3, 130


async def main(wanted: Options) -> int:
    """Caption, print the ledgers and the report, and return the exit code."""
    started = time.monotonic()
    accounts = [Account(job) for job in wanted.jobs]
    human = sys.stderr if wanted.json == "-" else sys.stdout
    stop = await _caption_all(wanted, accounts, human)
    for account in accounts:
        if account.error == NOT_BEGUN:
            print_all(f"{account.job.name}: {NOT_BEGUN}", sys.stderr)
    if len(accounts) > 1:
        counts = total(account.ledger for account in accounts)
        dry_run = all(job.dry_run for job in wanted.jobs)
        print_all(f"\ntotal: {closing_line(counts, dry_run)}", human)
    complete = all(account.complete for account in accounts)
    code = stop or (ALL_THERE if complete else SOME_FAILED)
    if wanted.json:
        text = as_json(report(accounts, wanted.server, time.monotonic() - started, code))
        try:
            _hand_out(text, wanted.json)
        except OSError as error:
            print_all(f"{wanted.json}: the report could not be written: {error}", sys.stderr)
            return code or SOME_FAILED
    return code


async def _caption_all(wanted: Options, accounts: list[Account], human: TextIO) -> int:
    """Caption one folder after the other; the exit code of an early end, 0 without one."""
    # ComfyUI may be silent for a while when it loads a model.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        server = Server(session, wanted.server, wanted.wait_seconds)
        with stop_signals():
            for account in accounts:
                try:
                    await caption(server, account, wanted.retries)
                except asyncio.CancelledError:
                    return INTERRUPTED
                except UnreachableError:
                    return UNREACHABLE
                finally:
                    _print_account(account, wanted, human)
    return ALL_THERE


def _print_account(account: Account, wanted: Options, human: TextIO) -> None:
    if len(wanted.jobs) > 1:
        print_all(f"{account.job.name}:", human)
    if account.ledger.lines or not account.error:
        print_all(str(account.ledger), human)
    for note in account.attempts.notes:
        print_all(f"{account.job.name}: {note}", sys.stderr)
    if account.error:
        print_all(f"{account.job.name} on {wanted.server}: {account.error}", sys.stderr)


@contextlib.contextmanager
def stop_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM cancel the running task, which then ends in order."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel(*_: object) -> None:
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hand_out(text: str, place: str) -> None:
    if place == "-":
        sys.stdout.write(text)
    else:
        write_report(Path(place).expanduser(), text)


def print_all(text: str, to: TextIO) -> None:
    """Print, with a sign in place of each character that the output cannot have.

    Windows writes files and pipes in its own code page, which lacks most of the world's letters.
    """
    encoding = to.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=to, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(options(__doc__ or ""))))
    except KeyboardInterrupt:  # before or after the work
        sys.exit(INTERRUPTED)
