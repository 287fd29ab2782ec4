"""The queue client against a stand-in for ComfyUI: what it sends, writes, prints and returns."""

import asyncio
import contextlib
import io
import sys

import caption_folder
import pytest
from aiohttp import web
from qwen3vl_nodes.utils.picture_list_files import SUFFIXES

PROMPT_ID = "p-1"


class StandIn:
    """The HTTP interface of ComfyUI, with a node that captions all pictures but `broken`."""

    def __init__(self):
        self.pictures = {}
        self.captions = {}
        self.prompt = {}
        self.refusal = None
        self.error = None
        self.hangs_up = False

    async def upload(self, request):
        form = await request.post()
        assert form["overwrite"] == "true"
        name = form["image"].filename
        if name.startswith("huge"):
            raise web.HTTPRequestEntityTooLarge(1, 2)
        self.pictures[f"{form['subfolder']}/{name}"] = form["image"].file.read()
        return web.json_response({"name": name})

    async def queue(self, request):
        self.queued.set()
        if self.refusal:
            return web.json_response(self.refusal, status=400)
        body = await request.json()
        self.prompt = {node["class_type"]: node["inputs"] for node in body["prompt"].values()}
        self.node_id = next(
            key
            for key, node in body["prompt"].items()
            if node["class_type"] == "Qwen3VLCaptionFolder"
        )
        return web.json_response({"prompt_id": PROMPT_ID})

    async def listen(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.queued.wait()
        if self.hangs_up or self.refusal:
            await socket.close()
            return socket
        await socket.send_bytes(b"a preview")
        for kind, extra in [
            ("progress", {"node": self.node_id, "value": 1, "max": 2}),
            ("execution_error" if self.error else "execution_success", {}),
        ]:
            await socket.send_json({"type": kind, "data": {"prompt_id": PROMPT_ID, **extra}})
        return socket

    async def history(self, _):
        self.caption_all()
        messages = [["execution_error", {"exception_message": self.error}]] if self.error else []
        entry = {
            "status": {"messages": messages},
            "outputs": {self.node_id: {"text": [self.ledger()]}},
        }
        return web.json_response({PROMPT_ID: entry})

    def caption_all(self):
        for name in self.pictures:
            if "broken" not in name:
                stem = name.rsplit(".", 1)[0]
                self.captions[f"captions/{stem}.txt"] = f"caption of {stem.rsplit('/', 1)[1]}"

    def ledger(self):
        folder = self.prompt["Qwen3VLCaptionFolder"]["folder"]
        names = [n.removeprefix(f"{folder}/") for n in self.pictures] or ["there.png"]
        bad = [n for n in names if "broken" in n]
        good = [f"written {n}" for n in names if n not in bad]
        lines = [*(f"failed  {n}: no picture" for n in bad), *good]
        return "\n".join([*lines, f"written {len(good)}, skipped 0, failed {len(bad)}"])

    async def view(self, request):
        assert request.query["type"] == "output"
        text = self.captions.get(f"{request.query['subfolder']}/{request.query['filename']}")
        return web.Response(text=text) if text else web.Response(status=404)

    @contextlib.asynccontextmanager
    async def running(self):
        self.queued = asyncio.Event()
        app = web.Application()
        app.add_routes([
            web.post("/upload/image", self.upload), web.post("/prompt", self.queue),
            web.get("/ws", self.listen), web.get("/history/{id}", self.history),
            web.get("/view", self.view),
        ])  # fmt: skip
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


@pytest.fixture
def comfyui():
    return StandIn()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b 图.JPG", "sub/c.webp", ".hidden.png", "notes.md"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def call(comfyui, monkeypatch, capsys):
    """Runs the client; returns its exit code, what it printed, and what it complained of."""

    def run(*arguments):
        async def go():
            async with comfyui.running() as url:
                command = ["caption_folder.py", "--server", url, *map(str, arguments)]
                monkeypatch.setattr(sys, "argv", command)
                return await caption_folder.main(caption_folder.arguments())

        code = asyncio.run(go())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def texts_in(folder):
    found = folder.rglob("*.txt")
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in found}


def test_every_picture_gets_its_caption_beside_it(call, folder):
    code, out, err = call("--folder", folder, "--recursive", "--model", "M", "--preset", "Tags")
    assert (code, err) == (0, "")
    assert out.endswith("written 3, skipped 0, failed 0\n")
    assert texts_in(folder) == {
        "a.txt": "caption of a", "b 图.txt": "caption of b 图", "sub/c.txt": "caption of c",
    }  # fmt: skip


def test_the_settings_reach_the_workflow(call, folder, comfyui):
    call("--folder", folder, "--model", "M", "--preset", "Tags", "--prefix", "sks, ", "--seed", 4)
    assert comfyui.prompt["Qwen3VLLoader"]["model"] == "M"
    inputs = comfyui.prompt["Qwen3VLCaptionFolder"]
    assert (inputs["preset"], inputs["prefix"], inputs["seed"]) == ("Tags", "sks, ", 4)
    assert (inputs["mode"], inputs["place"]) == ("skip existing", "in the output folder")
    assert all(name.startswith(inputs["folder"]) for name in comfyui.pictures)


def test_other_settings_and_pictures_go_to_another_folder(call, folder, comfyui):
    folders = []
    for seed, content in ((0, b"one"), (0, b"one"), (1, b"one"), (1, b"two")):
        (folder / "a.png").write_bytes(content)
        call("--folder", folder, "--seed", seed, "--overwrite")
        folders.append(comfyui.prompt["Qwen3VLCaptionFolder"]["folder"])
    assert folders[0] == folders[1]
    assert len({*folders}) == 3


def test_a_second_run_sends_nothing(call, folder, comfyui):
    call("--folder", folder)
    comfyui.pictures.clear()
    code, out, _ = call("--folder", folder)
    assert code == 0
    assert out.endswith("written 0, skipped 2, failed 0\n")
    assert comfyui.pictures == {}


def test_a_caption_that_is_there_stays_and_its_picture_at_home(call, folder, comfyui):
    (folder / "a.txt").write_text("mine")
    code, out, _ = call("--folder", folder)
    assert code == 0
    assert "skipped a.png: has a caption\n" in out
    assert out.endswith("written 1, skipped 1, failed 0\n")
    assert texts_in(folder)["a.txt"] == "mine"
    assert not any(name.endswith("a.png") for name in comfyui.pictures)


def test_overwrite_replaces_it(call, folder, comfyui):
    (folder / "a.txt").write_text("mine")
    call("--folder", folder, "--overwrite")
    assert texts_in(folder)["a.txt"] == "caption of a"
    assert comfyui.prompt["Qwen3VLCaptionFolder"]["mode"] == "overwrite own"


def test_a_failed_picture_is_a_failed_run(call, folder):
    (folder / "broken.png").write_bytes(b"")
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert "failed  broken.png: no picture\n" in out
    assert out.endswith("written 2, skipped 0, failed 1\n")
    assert "broken.txt" not in texts_in(folder)


def test_a_picture_that_cannot_be_sent_is_a_line(call, folder):
    (folder / "huge.png").write_bytes(b"0")
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert "failed  huge.png: the server takes no file of this size" in out
    assert out.endswith("written 2, skipped 0, failed 1\n")


def test_a_caption_that_does_not_come_back_is_a_failure(call, folder, comfyui, monkeypatch):
    monkeypatch.setattr(comfyui, "caption_all", lambda: None)
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert out.endswith("written 0, skipped 0, failed 2\n")


def test_a_refused_workflow(call, folder, comfyui):
    error = {"message": "Value not in list", "details": "model: 'M' not in []"}
    comfyui.refusal = {
        "error": {"message": "Prompt outputs failed validation"},
        "node_errors": {"1": {"class_type": "Qwen3VLLoader", "errors": [error]}},
    }
    code, out, err = call("--folder", folder)
    assert (code, out) == (1, "")
    assert "refused the workflow: Prompt outputs failed validation" in err
    assert "Qwen3VLLoader: Value not in list: model: 'M' not in []" in err


def test_a_run_that_ends_in_an_error_brings_home_what_was_finished(call, folder, comfyui):
    comfyui.error = "CUDA is out of memory."
    code, out, err = call("--folder", folder)
    assert (code, out) == (1, "")
    assert "CUDA is out of memory." in err
    assert texts_in(folder)["a.txt"] == "caption of a"


def test_a_server_that_goes_away(call, folder, comfyui):
    comfyui.hangs_up = True
    code, _, err = call("--folder", folder)
    assert code == 1
    assert "closed the connection" in err


def test_no_server(call, folder, monkeypatch, capsys):
    command = ["caption_folder.py", "--server", "127.0.0.1:1", "--folder", str(folder)]
    monkeypatch.setattr(sys, "argv", command)
    assert asyncio.run(caption_folder.main(caption_folder.arguments())) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_an_empty_folder(call, tmp_path):
    code, _, err = call("--folder", tmp_path)
    assert code == 1
    assert "holds no picture" in err


def test_a_folder_on_the_server_is_neither_sent_nor_fetched(call, comfyui):
    code, out, _ = call("--on-server", "sets/cats")
    assert code == 0
    assert out == "written there.png\nwritten 1, skipped 0, failed 0\n"
    inputs = comfyui.prompt["Qwen3VLCaptionFolder"]
    assert (inputs["folder"], inputs["place"]) == ("sets/cats", "beside the picture")
    assert comfyui.pictures == {}


def test_the_client_knows_the_formats_of_the_node():
    assert caption_folder.SUFFIXES == SUFFIXES


def test_a_pipe_that_lacks_letters_gets_signs_for_them(monkeypatch):
    """Windows writes pipes in its own code page."""
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", pipe)
    caption_folder.print_all("written 猫.png, café.png")
    pipe.flush()
    assert pipe.buffer.getvalue().decode("cp1252").rstrip() == r"written \u732b.png, café.png"


def test_a_tilde_is_the_home_folder_in_any_shell(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["caption_folder.py", "--folder", "~"])
    assert caption_folder.arguments().folder == tmp_path
