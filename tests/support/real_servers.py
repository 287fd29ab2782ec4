"""Starts real servers with the demo checkpoint, where they are set up on this machine.

vLLM: its Python environment in `$QWEN3VL_VLLM_VENV`, or `~/.cache/vllm-cpu/venv`, or `vllm` on the
path. llama.cpp: `llama-server` in `$QWEN3VL_LLAMA_SERVER` or on the path or in
`~/.cache/qwen3vl-servers/llama.cpp`, with the checkpoint as `demo.gguf` and `demo-mmproj.gguf` in
`$QWEN3VL_DEMO_GGUF` or `~/.cache/qwen3vl-servers/gguf`. transformers: the package with its extra
`serving`, in the environment `$QWEN3VL_TRANSFORMERS_VENV`, vLLM's or this one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import hosting
import psutil

CHECKPOINT = hosting.ROOT / "examples" / "demo_model" / "qwen3-vl-demo"
CACHE = Path.home() / ".cache"
START_SECONDS = 900
OPEN = psutil.CONN_ESTABLISHED
SERVE = (
    "import sys; sys.argv = ['transformers', 'serve', *sys.argv[1:]]; "
    "from transformers.cli.transformers import main; main()"
)


def _venv() -> Path:
    return Path(os.environ.get("QWEN3VL_VLLM_VENV", CACHE / "vllm-cpu" / "venv"))


def _first(*places) -> Path | None:
    return next((Path(p) for p in places if p and Path(p).is_file()), None)


def vllm(port: int, checkpoint: Path = CHECKPOINT) -> list[str] | None:
    binary = _first(_venv() / "bin" / "vllm", shutil.which("vllm"))
    if binary is None:
        return None
    return [
        str(binary), "serve", str(checkpoint), "--served-model-name", "demo", "--host", "127.0.0.1",
        "--port", str(port), "--dtype", "float32", "--enforce-eager", "--max-model-len", "4096",
        "--max-num-seqs", "8",
    ]  # fmt: skip


def llama_cpp(port: int, checkpoint: Path = CHECKPOINT) -> list[str] | None:
    here = CACHE / "qwen3vl-servers"
    binary = _first(
        os.environ.get("QWEN3VL_LLAMA_SERVER"),
        shutil.which("llama-server"),
        here / "llama.cpp" / "llama-server",
    )
    folder = Path(os.environ.get("QWEN3VL_DEMO_GGUF", here / "gguf"))
    if binary is None or not (folder / "demo.gguf").is_file():
        return None
    return [
        str(binary), "-m", str(folder / "demo.gguf"), "--mmproj", str(folder / "demo-mmproj.gguf"),
        "--host", "127.0.0.1", "--port", str(port), "-c", "8192", "--jinja",
        "--chat-template-file", str(checkpoint / "chat_template.jinja"),
    ]  # fmt: skip


def transformers(port: int, checkpoint: Path = CHECKPOINT) -> list[str] | None:
    own = Path(os.environ.get("QWEN3VL_TRANSFORMERS_VENV", _venv()))
    for python in (own / "bin" / "python", _venv() / "bin" / "python", Path(sys.executable)):
        question = [str(python), "-c", "import fastapi, uvicorn, openai, accelerate, transformers"]
        with contextlib.suppress(OSError):
            if subprocess.run(question, capture_output=True, check=False).returncode == 0:
                return [
                    str(python), "-c", SERVE, str(checkpoint), "--host", "127.0.0.1", "--port",
                    str(port), "--device", "cpu", "--dtype", "float32",
                ]  # fmt: skip
    return None


COMMANDS = {"vllm": vllm, "llama_cpp": llama_cpp, "transformers": transformers}


# What more a server is told to be able to do all it can.
ABLE = {"vllm": ["--reasoning-parser", "qwen3", "--trust-request-mm-kwargs"]}
OPENING = "<|im_start|>assistant\\n' }}"
SWITCH = """{%- if enable_thinking is defined %}
        {{- '<think>\\n' if enable_thinking else '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}"""


def with_a_switch(folder: Path) -> Path:
    """The demo checkpoint with a chat template that thinks, or not, as it is told."""
    folder.mkdir()
    for path in CHECKPOINT.iterdir():
        if path.name != "chat_template.jinja":
            (folder / path.name).symlink_to(path)
    head, end = (CHECKPOINT / "chat_template.jinja").read_text("utf-8").rsplit(OPENING, 1)
    (folder / "chat_template.jinja").write_text(head + OPENING + SWITCH + end, encoding="utf-8")
    return folder


class RealServer:
    """A server in a process of its own; it can be killed and started again at its port.

    One that is `able` serves the demo with a thinking switch, and was started with all it can do.
    """

    def __init__(self, kind: str, folder: Path, able: bool = False):
        self.kind = kind
        self.log = folder / f"{kind}.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.checkpoint = with_a_switch(folder / "qwen3-vl-demo") if able else CHECKPOINT
        self.command: list[str] = COMMANDS[kind](self.port, self.checkpoint) or []
        if able and self.command:
            self.command += ABLE.get(kind, [])
        self.process: subprocess.Popen | None = None

    def start(self, wait: bool = True) -> None:
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2",
            "LD_LIBRARY_PATH": str(Path(self.command[0]).parent),
        }  # fmt: skip
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait()

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5),
            ):
                return
            time.sleep(0.5)
        raise RuntimeError(f"{self.kind} did not start:\n{self.log.read_text()[-2000:]}")

    def stop(self, hard: bool = False) -> None:
        """End the process and what it started; `hard` as a crash would."""
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, 9 if hard else 15)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()

    def answered(self) -> int:
        """How many chats it says that it answered, in all its lives; llama.cpp does not say."""
        return len(re.findall(r"POST /v1/chat/completions\D.{0,40} 200", self.log.read_text()))

    def linked(self) -> int:
        """How many connections to it are open on this machine."""
        ends = (line.raddr for line in psutil.net_connections("tcp") if line.status == OPEN)
        return sum(1 for end in ends if end and end.port == self.port)

    def entry(self) -> str:
        """Its table in the owner's file; and `half`, at two addresses, of which one is dead."""
        here, nowhere = f"http://127.0.0.1:{self.port}", "http://127.0.0.1:9"
        lines = [f"dialect = '{self.kind}'", "min_pixels = 102400", "max_pixels = 655360"]
        if self.kind == "transformers":
            lines.append(f"model = '{self.checkpoint}'")
        one = [f"[servers.{self.kind}]", f"origin = '{here}'", *lines]
        half = ["[servers.half]", f"origins = ['{nowhere}', '{here}']", *lines]
        return "\n".join([*one, *half]) + "\n"
