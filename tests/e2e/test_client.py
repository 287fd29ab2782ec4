"""The queue client against a real ComfyUI."""

import subprocess
import sys

import hosting
import pytest
from PIL import Image
from qwen3vl_pack import ROOT
from tiny_checkpoint import write_checkpoint

COMFYUI = hosting.find_comfyui()
CLIENT = ROOT / "examples" / "caption_folder.py"
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
# The server writes them by these names and hands the captions out under them.
NAMES = ("a.png", "b 图.png", "it's.png", "100%25;x.png", "sub/deep.png")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    write_checkpoint(folder / "models" / "Tiny")
    with hosting.Server(COMFYUI, folder, models=folder / "models") as up:
        yield up


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (64, 64), (50 * number, 90, 30)).save(tmp_path / name)
    return tmp_path


def run_client(server, *arguments):
    command = [sys.executable, CLIENT, "--server", server.url, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def captions_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*.txt")}


def test_a_local_folder_is_captioned_and_then_skipped(server, folder):
    arguments = ("--folder", folder, "--recursive", "--model", "Tiny")
    first = run_client(server, *arguments)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith(f"written {len(NAMES)}, skipped 0, failed 0\n")
    assert captions_in(folder) == {name.replace(".png", ".txt") for name in NAMES}
    second = run_client(server, *arguments)
    assert second.stdout.endswith(f"written 0, skipped {len(NAMES)}, failed 0\n")


def test_a_broken_picture_fails_the_run_and_the_others_are_written(server, folder):
    (folder / "broken.png").write_bytes(b"no picture")
    done = run_client(server, "--folder", folder, "--model", "Tiny", "--prefix", "x ")
    assert done.returncode == 1
    assert "failed  broken.png" in done.stdout
    assert done.stdout.endswith("written 4, skipped 0, failed 1\n")
    assert (folder / "a.txt").read_text("utf-8").startswith("x ")


def test_a_folder_of_the_server(server, folder):
    pictures = server.log.parent / "input" / "there"
    pictures.mkdir()
    (pictures / "a.png").write_bytes((folder / "a.png").read_bytes())
    done = run_client(server, "--on-server", "there", "--model", "Tiny")
    assert (done.returncode, done.stdout) == (
        0, "written a.png\nwritten 1, skipped 0, failed 0\n"
    )  # fmt: skip
    assert captions_in(pictures) == {"a.txt"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "Nope"), "Qwen3VLLoader: Value not in list"),
        (("--model", "Qwen3-VL-235B-A22B-Thinking"), "is not on this machine"),
        (("--model", "Tiny", "--preset", "Custom prompt"), "custom prompt is empty"),
    ],
)
def test_what_cannot_run_is_said(server, folder, arguments, said):
    done = run_client(server, "--folder", folder, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert captions_in(folder) == set()
