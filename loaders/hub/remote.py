"""What the two hubs offer for a repository: its files, their sizes, hashes and addresses."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...utils.errors import LoadError
from ..settings import HUGGING_FACE, MODELSCOPE

# Weights and what the processor reads; never code, pickles or other formats.
WANTED = (".safetensors", ".json", ".jinja", "merges.txt")
LIST_SECONDS = 30
MAX_LIST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch; `sha256` is empty where the hub gives none."""

    name: str
    size_bytes: int
    url: str
    sha256: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def list_files(source: str, repository: str) -> list[RemoteFile]:
    """The files of a repository that a checkpoint needs.

    Raises:
        LoadError: offline mode is on, or the hub does not answer or know the repository.
    """
    files = {HUGGING_FACE: _hugging_face, MODELSCOPE: _modelscope}[source](repository)
    wanted = [f for f in files if f.name.endswith(WANTED) and _is_plain(f.name)]
    if not any(f.name == "config.json" for f in wanted):
        raise LoadError(
            f"{source} lists no checkpoint for {repository}.", "Choose the other download source."
        )
    return wanted


def _is_plain(name: str) -> bool:
    """A file of the folder itself, whose name cannot lead anywhere else."""
    return not set(name) & set("/\\:\0") and not name.startswith(".")


def _hugging_face(repository: str) -> list[RemoteFile]:
    """Through huggingface_hub, with its endpoint, token and offline setting."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise LoadError(
            "HF_HUB_OFFLINE is set, so nothing is downloaded.",
            "Unset it, or put the checkpoint's folder into models/LLM/Qwen-VL yourself.",
        )
    token = get_token()
    try:
        entries = [
            entry
            for entry in HfApi(endpoint=constants.ENDPOINT).list_repo_tree(repository)
            if getattr(entry, "size", None) is not None
        ]
    except Exception as error:  # requests' or httpx's errors, by version
        raise LoadError(
            f"Hugging Face does not list {repository} ({type(error).__name__}: {error}).",
            "Check the network, HF_ENDPOINT and the token, or choose ModelScope.",
        ) from error
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return [
        RemoteFile(
            entry.path,  # type: ignore[union-attr]
            entry.size,  # type: ignore[union-attr]
            f"{constants.ENDPOINT}/{repository}/resolve/main/{urllib.parse.quote(entry.path)}",
            getattr(getattr(entry, "lfs", None), "sha256", "") or "",
            headers,
        )
        for entry in entries
    ]


def _modelscope(repository: str) -> list[RemoteFile]:
    """Through its public interface; MODELSCOPE_DOMAIN is its library's own setting."""
    domain = os.environ.get("MODELSCOPE_DOMAIN") or "www.modelscope.cn"
    base = domain if "://" in domain else f"https://{domain}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise LoadError("HF_HUB_OFFLINE is set, so nothing is downloaded.", "Unset it.")
    query = "Revision=master&Recursive=False"
    answer = _get_json(f"{base}/api/v1/models/{repository}/repo/files?{query}", repository)
    try:
        entries = [e for e in answer["Data"]["Files"] if e.get("Type") != "tree"]
        return [
            RemoteFile(
                str(entry["Path"]),
                int(entry["Size"]),
                f"{base}/models/{repository}/resolve/master/"
                f"{urllib.parse.quote(str(entry['Path']))}",
                str(entry.get("Sha256") or ""),
            )
            for entry in entries
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise LoadError(
            f"ModelScope's list of {repository} cannot be read ({error}).", "Choose Hugging Face."
        ) from error


def trusted() -> ssl.SSLContext:
    """The system's certificates and those that the hub's own library brings.

    Python for macOS knows none until its user runs a script, and a new Windows not all.
    """
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError, OSError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _get_json(url: str, repository: str) -> Any:
    try:
        with urllib.request.urlopen(  # noqa: S310 - https or the owner's mirror
            url, timeout=LIST_SECONDS, context=trusted()
        ) as answer:
            return json.loads(answer.read(MAX_LIST_BYTES))
    except (OSError, ValueError) as error:
        raise LoadError(
            f"ModelScope does not list {repository} ({error}).",
            "Check the network and MODELSCOPE_DOMAIN, or choose Hugging Face.",
        ) from error
