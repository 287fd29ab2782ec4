"""The queue client against a real ComfyUI."""

import json
import os
import signal
import subprocess
import sys
import time

import hosting
import pytest
from PIL import Image
from qwen3vl_nodes.utils.captions.sidecars import WRITERS
from qwen3vl_pack import ROOT

COMFYUI = hosting.find_comfyui()
CLIENT = ROOT / "examples" / "caption_folder.py"
pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(COMFYUI is None, reason="needs a ComfyUI checkout; set COMFYUI_PATH"),
]
MANY = 24
# The server writes them by these names and hands the captions out under them.
NAMES = ("a.png", "b 图.png", "it's.png", "100%25;x.png", "sub/deep.png")


@pytest.fixture
def server(demo_server):
    return demo_server


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (64, 64), (50 * number, 90, 30)).save(tmp_path / name)
    return tmp_path


def command(server, *arguments):
    return [sys.executable, CLIENT, "--server", server.url, "--model", "Tiny", *map(str, arguments)]


def run_client(server, *arguments):
    return subprocess.run(
        command(server, *arguments), capture_output=True, text=True, timeout=300, check=False
    )


def captions_in(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*.txt")}


def captions_on(server):
    """How many captions of uploaded pictures the server has."""
    return len([*(server.log.parent / "output" / "captions").rglob("many*.txt")])


@pytest.fixture
def many(tmp_path):
    """A folder that takes long enough to be stopped in the middle."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MANY):
        Image.new("RGB", (64, 64), (10 * number, 90, 30)).save(folder / f"many{number}.png")
    return folder


def captions_made(server):
    """How many captions the journals on the server say were made of the folder `many`."""
    journals = (server.log.parent / "output" / "captions").rglob(".qwen3vl.jsonl")
    names = [json.loads(line)["caption"] for file in journals for line in file.open("rb")]
    return sum(name.startswith("many") for name in names)


def started(server, *arguments):
    """The client at work, with at least two captions made."""
    before = captions_on(server)
    client = subprocess.Popen(
        command(server, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while captions_on(server) < before + 2:
        assert client.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    return client


def test_a_local_folder_is_captioned_and_then_skipped(server, folder):
    arguments = ("--folder", folder, "--recursive")
    first = run_client(server, *arguments)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith(f"written {len(NAMES)}, skipped 0, failed 0\n")
    assert captions_in(folder) == {name.replace(".png", ".txt") for name in NAMES}
    second = run_client(server, *arguments)
    assert second.stdout.endswith(f"written 0, skipped {len(NAMES)}, failed 0\n")


def test_a_broken_picture_fails_the_run_and_the_others_are_written(server, folder):
    (folder / "broken.png").write_bytes(b"no picture")
    done = run_client(server, "--folder", folder, "--prefix", "x ")
    assert done.returncode == 1
    assert "failed  broken.png" in done.stdout
    assert done.stdout.endswith("written 4, skipped 0, failed 1\n")
    assert (folder / "a.txt").read_text("utf-8").startswith("x ")


def test_all_forms_of_several_captions(server, folder):
    several = (
        "--folder",
        folder,
        "--recursive",
        "--more-presets",
        "Tags",
        "--more-presets",
        "Style",
    )
    for form in ("json", "jsonl"):
        done = run_client(server, *several, "--format", form)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"written {3 * len(NAMES)}, skipped 0, failed 0\n")
        again = run_client(server, *several, "--format", form)
        assert again.stdout.endswith(f"written 0, skipped {3 * len(NAMES)}, failed 0\n")
    assert json.loads((folder / "sub" / "deep.style.json").read_text("utf-8"))["caption"]
    lines = [*map(json.loads, (folder / "captions.jsonl").read_text("utf-8").splitlines())]
    places = {(line["file_name"], line["variant"]) for line in lines}
    assert places == {(name, kind) for name in NAMES for kind in ("", "tags", "style")}


@pytest.mark.parametrize("name", ["there", "input/there"])
def test_a_folder_of_the_server(server, folder, name):
    pictures = server.log.parent / "input" / "there"
    pictures.mkdir(exist_ok=True)
    (pictures / "a.txt").unlink(missing_ok=True)
    (pictures / "a.png").write_bytes((folder / "a.png").read_bytes())
    tried = run_client(server, "--on-server", name, "--dry-run")
    assert (tried.returncode, tried.stdout) == (
        0, "pending a.png\nwould write 1, skipped 0, failed 0\n"
    )  # fmt: skip
    assert captions_in(pictures) == set()
    done = run_client(server, "--on-server", name)
    assert (done.returncode, done.stdout) == (
        0, "written a.png\nwritten 1, skipped 0, failed 0\n"
    )  # fmt: skip
    assert captions_in(pictures) == {"a.txt"}
    more = run_client(server, "--on-server", name, "--mode", "append to captions", "--seed", 5)
    assert more.returncode == 0


def test_a_restart_of_the_server_in_the_middle_costs_nothing(server, many, tmp_path):
    report = tmp_path / "report.json"
    client = started(server, "--folder", many, "--json", report)
    server.__exit__()
    server.__enter__()
    out, err = client.communicate(timeout=300)
    assert (client.returncode, len(captions_in(many))) == (0, MANY), out + err
    assert out.endswith(f"written {MANY}, skipped 0, failed 0\n")
    [account] = json.loads(report.read_text())["folders"]
    assert len(account["prompt_ids"]) == 2
    assert "queued again: the server was started again" in account["notes"][0]
    # A caption is entered before it is written: ended between the two, those are made twice.
    assert captions_made(server) in range(MANY, MANY + WRITERS + 1)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C goes to a whole console there")
def test_a_stop_brings_home_what_is_finished_and_the_next_run_the_rest(server, many):
    client = started(server, "--folder", many, "--seed", 7)
    client.send_signal(signal.SIGINT)
    out, err = client.communicate(timeout=60)
    finished = len(captions_in(many))
    assert (client.returncode, 2 <= finished < MANY) == (130, True), out + err
    assert out.endswith(f"written {finished}, skipped 0, failed {MANY - finished}\n")
    assert not any(server.get("/queue").values())
    rest = run_client(server, "--folder", many, "--seed", 7)
    assert rest.stdout.endswith(f"written {MANY - finished}, skipped {finished}, failed 0\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "Nope"), "No Qwen3-VL checkpoint called 'Nope'"),
        (("--model", "Qwen3-VL-235B-A22B-Thinking"), "is not on this machine"),
        (("--preset", "Custom prompt"), "custom prompt is empty"),
    ],
)
def test_what_cannot_run_is_said(server, folder, arguments, said):
    done = run_client(server, "--folder", folder, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert captions_in(folder) == set()
