"""What the tests of the queue client share."""

import asyncio

import caption_folder
import pytest
from caption_client import prompts, server
from caption_client.command_line import options
from comfyui_stand_in import StandIn


@pytest.fixture
def comfyui():
    return StandIn()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b 图.JPG", "sub/c.webp", ".hidden.png", "notes.md"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def call(comfyui, monkeypatch, capsys):
    """Runs the client; returns its exit code, what it printed, and what it complained of."""
    monkeypatch.setattr(server, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(prompts, "SECOND_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(prompts, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(prompts, "FIRST_POLL_SECONDS", 0.02)

    def run(*arguments):
        async def go():
            async with comfyui.running() as url:
                wanted = options("", ["--server", url, *map(str, arguments)])
                return await caption_folder.main(wanted)

        code = asyncio.run(go())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
