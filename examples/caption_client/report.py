"""What was done, as JSON for other programs."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .folders import Account
from .ledger import FAILED, PENDING, SKIPPED, WRITTEN, total


def report(accounts: Sequence[Account], server: str, seconds: float, code: int) -> dict[str, Any]:
    """The report; `lines` of a folder may be fewer than its counts where `shortened` says so."""
    return {
        "server": server,
        "folders": [_folder(account) for account in accounts],
        "totals": _counts(total(account.ledger for account in accounts)),
        "seconds": round(seconds, 3),
        "exit_code": code,
    }


def _folder(account: Account) -> dict[str, Any]:
    settings = {name: value for name, value in asdict(account.job).items() if value is not None}
    return {
        "name": account.job.name,
        "settings": settings,
        "prompt_ids": account.attempts.prompt_ids,
        "seconds": round(account.seconds, 3),
        "counts": _counts(account.ledger.counts),
        "shortened": account.ledger.shortened,
        "lines": [asdict(line) for line in account.ledger.lines],
        "notes": account.attempts.notes,
        "error": account.error,
    }


def _counts(counts: Any) -> dict[str, int]:
    return {state: counts[state] for state in (WRITTEN, SKIPPED, FAILED, PENDING)}


def as_json(said: dict[str, Any]) -> str:
    """In ASCII: names may hold bytes that no encoding takes, and any output can show it."""
    return json.dumps(said, indent=1, default=str) + "\n"


def write_report(path: Path, text: str) -> None:
    """Write it whole or not at all; OSError if that cannot be."""
    part = path.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        with part.open("x", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
