"""A local server stands in for the hubs: cut connections, lies, interrupts; nothing is lost."""

import dataclasses
import hashlib
import json
import random
import shutil
import ssl
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from checkpoint_kinds import edit_json
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog, download, remote
from qwen3vl_nodes.loaders.hub.discovery import local_copies
from qwen3vl_nodes.loaders.hub.remote import RemoteFile, list_files
from qwen3vl_nodes.loaders.plan import prepare as preparing
from qwen3vl_nodes.loaders.plan.prepare import prepare
from qwen3vl_nodes.loaders.settings import HUGGING_FACE, MODELSCOPE, NO_DOWNLOAD, LoadSettings
from qwen3vl_nodes.utils.errors import LoadError

NAME = "Qwen3-VL-2B-Instruct"
REPOSITORY = f"Qwen/{NAME}"


class Hub:
    """Serves a folder as both hubs do; `cuts` ends that many answers early."""

    def __init__(self, folder):
        self.folder, self.cuts, self.requests = folder, [], []
        self.ranges, self.extra, self.wait = True, {}, 0.0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format, *args):  # noqa: A002 - its name in the base class
                pass

            def do_GET(self):  # noqa: N802
                hub.answer(self)

            do_HEAD = do_GET  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def data(self, name):
        return self.extra.get(name) or (self.folder / name).read_bytes()

    def answer(self, request):
        path = request.path.split("?")[0]
        self.requests.append((path, request.headers.get("Range"), dict(request.headers)))
        names = sorted({p.name for p in self.folder.iterdir() if p.is_file()} | set(self.extra))
        if path == f"/api/models/{REPOSITORY}/tree/main":
            return self.send(request, json.dumps([self.entry(n) for n in names]).encode())
        if path == f"/api/v1/models/{REPOSITORY}/repo/files":
            files = [
                {"Path": n, "Size": len(self.data(n)), "Type": "blob",
                 "Sha256": hashlib.sha256(self.data(n)).hexdigest()} for n in names
            ]  # fmt: skip
            return self.send(request, json.dumps({"Data": {"Files": files}}).encode())
        name = path.rsplit("/", 1)[-1]
        if "/resolve/" not in path or name not in names:
            request.send_error(404)
            return None
        return self.send_file(request, self.data(name))

    def entry(self, name):
        data = self.data(name)
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1}
        big = {"lfs": lfs} if name.endswith(".safetensors") else {}
        return {"type": "file", "path": name, "size": len(data), "oid": "0", **big}

    def send(self, request, body):
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(body)

    def send_file(self, request, data):
        asked = request.headers.get("Range") if self.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        if self.cuts:
            stop = max(start, self.cuts.pop())
            request.wfile.write(data[start:stop])
            request.wfile.flush()
            request.connection.close()
            return
        for at in range(start, len(data), 65_536):
            request.wfile.write(data[at : min(at + 65_536, len(data))])
            time.sleep(self.wait)


@pytest.fixture
def hub(kind, monkeypatch):
    from huggingface_hub import constants

    made = Hub(kind("sharded"))
    made.extra["README.md"] = b"not wanted"
    made.extra["modeling_evil.py"] = b"not wanted"
    made.extra["pytorch_model.bin"] = b"not wanted"
    monkeypatch.setattr(constants, "ENDPOINT", made.url)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", made.url)
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(download, "LOOK_SECONDS", 0.002)
    yield made
    made.server.shutdown()
    made.server.server_close()


def ignore(_done, _total):
    pass


@pytest.mark.parametrize("source", [HUGGING_FACE, MODELSCOPE])
def test_a_whole_download(hub, kind, tmp_path, source):
    files = list_files(source, REPOSITORY)
    names = {file.name for file in files}
    assert "config.json" in names and "model.safetensors.index.json" in names
    assert not names & set(hub.extra)
    seen = []
    download.fetch(files, tmp_path / NAME, lambda *n: seen.append(n))
    assert seen[-1] == (sum(f.size_bytes for f in files),) * 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    for file in files:
        assert (tmp_path / NAME / file.name).read_bytes() == hub.data(file.name)
    assert inspect(tmp_path / NAME).tensors
    before = len(hub.requests)
    download.fetch(files, tmp_path / NAME, ignore)
    assert len(hub.requests) == before  # nothing is fetched twice


def test_cut_at_twenty_random_bytes(hub, tmp_path):
    """The server breaks off twenty times; each time only the rest is asked for."""
    files = list_files(HUGGING_FACE, REPOSITORY)
    shard = max(files, key=lambda f: f.size_bytes)
    chance = random.Random(6)  # noqa: S311 - places to cut, not secrets
    cuts = sorted(chance.sample(range(1, shard.size_bytes), 20))
    hub.cuts = list(reversed(cuts))
    download.fetch([shard], tmp_path, ignore)
    assert (tmp_path / shard.name).read_bytes() == hub.data(shard.name)
    asked = [wanted for path, wanted, _ in hub.requests if path.endswith(shard.name)]
    assert asked == [None, *(f"bytes={cut}-" for cut in cuts)]


def test_interrupted_at_twenty_random_bytes(hub, kind, tmp_path):
    """The user stops twenty times; the next run goes on, and never loads what is half."""
    files = list_files(HUGGING_FACE, REPOSITORY)
    total = sum(file.size_bytes for file in files)
    chance = random.Random(7)  # noqa: S311
    hub.wait = 0.001

    class Interrupt(BaseException):
        pass

    stops = 0
    for stop_at in sorted(chance.sample(range(1, total), 20)):

        def look(done, _total, stop_at=stop_at):
            if done >= stop_at:
                raise Interrupt

        try:
            download.fetch(files, tmp_path / NAME, look)
        except Interrupt:
            stops += 1
        assert not local_copies([tmp_path]) or not list(tmp_path.rglob("*.incomplete"))
    assert stops == 20
    download.fetch(files, tmp_path / NAME, ignore)
    for file in files:
        assert (tmp_path / NAME / file.name).read_bytes() == hub.data(file.name)
    assert not list(tmp_path.rglob("*.incomplete"))
    assert list(local_copies([tmp_path])) == [NAME]


def test_a_server_that_cannot_go_on_starts_again(hub, tmp_path):
    hub.ranges = False
    file = max(list_files(MODELSCOPE, REPOSITORY), key=lambda f: f.size_bytes)
    hub.cuts = [5000]
    download.fetch([file], tmp_path, ignore)
    assert (tmp_path / file.name).read_bytes() == hub.data(file.name)


def test_wrong_bytes_are_not_kept(hub, tmp_path):
    file = max(list_files(HUGGING_FACE, REPOSITORY), key=lambda f: f.size_bytes)
    (tmp_path / (file.name + ".incomplete")).write_bytes(b"x" * 1000)
    with pytest.raises(LoadError, match="arrived damaged"):
        download.fetch([file], tmp_path, ignore)
    assert not list(tmp_path.iterdir())
    download.fetch([file], tmp_path, ignore)


def test_a_server_that_gives_nothing(hub, tmp_path):
    file = max(list_files(HUGGING_FACE, REPOSITORY), key=lambda f: f.size_bytes)
    hub.cuts = [0] * 50
    with pytest.raises(LoadError, match="goes on where it stopped"):
        download.fetch([file], tmp_path, ignore)
    assert len(hub.cuts) == 50 - download.TRIES


def test_what_is_not_there_is_not_asked_again(hub, tmp_path):
    gone = RemoteFile("gone.json", 10, f"{hub.url}/{REPOSITORY}/resolve/main/gone.json")
    with pytest.raises(LoadError, match="404"):
        download.fetch([gone], tmp_path, ignore)
    assert len(hub.requests) == 1


def test_no_room_on_the_disk(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 10))
    with pytest.raises(LoadError, match="has 0.0 MB free"):
        download.fetch(list_files(HUGGING_FACE, REPOSITORY), tmp_path / NAME, ignore)
    assert not (tmp_path / NAME).exists()


def test_a_token_stays_with_its_hub(hub, tmp_path):
    """Hubs redirect to storage elsewhere, which must not see the token."""
    storage = Hub(hub.folder)
    original = hub.send_file

    def redirect(request, _data):
        request.send_response(302)
        request.send_header("Location", storage.url + request.path)
        request.send_header("Content-Length", "0")
        request.end_headers()

    hub.send_file = redirect
    url = f"{hub.url}/{REPOSITORY}/resolve/main/config.json"
    size = len(hub.data("config.json"))
    file = RemoteFile("config.json", size, url, headers={"Authorization": "Bearer secret"})
    download.fetch([file], tmp_path, ignore)
    assert hub.requests[-1][2]["Authorization"] == "Bearer secret"
    assert "Authorization" not in storage.requests[-1][2]
    hub.send_file = original
    storage.server.shutdown()
    storage.server.server_close()


def test_a_token_does_not_leave_encryption():
    """The same host, but http: everybody between may read along."""
    secret = {"Authorization": "Bearer secret"}
    request = urllib.request.Request("https://hub/x", headers=secret)  # noqa: S310

    def kept(url):
        new = download._Redirects().redirect_request(request, None, 302, "Found", {}, url)
        return "Authorization" in new.headers

    assert kept("https://hub/y")
    assert not kept("http://hub/x") and not kept("https://hub:8443/x") and not kept("https://cdn/x")


def test_a_server_that_sends_more_than_it_promised(hub, tmp_path):
    """Once, and no further than the promise: it would fill the disk at each try."""
    file = max(list_files(HUGGING_FACE, REPOSITORY), key=lambda f: f.size_bytes)
    less = dataclasses.replace(file, size_bytes=file.size_bytes - 10)
    hub.requests.clear()
    seen = []
    with pytest.raises(LoadError, match="sends more than it promised"):
        download.fetch([less], tmp_path, lambda done, _total: seen.append(done))
    assert len(hub.requests) == 1 and max(seen) <= less.size_bytes
    assert not list(tmp_path.iterdir())


def test_names_that_lead_elsewhere_are_not_taken(hub):
    hub.extra["..evil.json"] = hub.extra["a\\b.json"] = b"{}"
    names = {file.name for file in list_files(MODELSCOPE, REPOSITORY)}
    assert "config.json" in names and not {"..evil.json", "a\\b.json"} & names


def test_offline_touches_nothing(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for source in (HUGGING_FACE, MODELSCOPE):
        with pytest.raises(LoadError, match="HF_HUB_OFFLINE"):
            list_files(source, REPOSITORY)
    assert not hub.requests


def test_an_unknown_repository(hub):
    for source in (HUGGING_FACE, MODELSCOPE):
        with pytest.raises(LoadError, match="does not list"):
            list_files(source, "Qwen/Nothing")


@pytest.fixture
def models(tmp_path, monkeypatch, lying_in):
    monkeypatch.setattr(preparing, "host", lambda: torch_only)
    lying_in(models=[tmp_path], download=tmp_path / "Qwen-VL")
    monkeypatch.setattr(catalog, "hub_caches", list)
    return tmp_path


def test_only_when_asked_for(hub, models):
    with pytest.raises(LoadError, match="not on this machine"):
        prepare(LoadSettings(NAME))
    assert not hub.requests
    prepared = prepare(LoadSettings(NAME, device="cpu", download=HUGGING_FACE))
    assert prepared.checkpoint.folder == models / "Qwen-VL" / NAME
    before = len(hub.requests)
    prepare(LoadSettings(NAME, device="cpu", download=HUGGING_FACE))
    prepare(LoadSettings(NAME, device="cpu"))
    assert len(hub.requests) == before


def test_a_half_download_is_resumed_or_named(hub, models):
    prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE))
    folder = models / "Qwen-VL" / NAME
    shard = sorted(folder.glob("*.safetensors"))[0]
    (folder / (shard.name + ".incomplete")).write_bytes(shard.read_bytes()[:1000])
    shard.unlink()
    with pytest.raises(LoadError, match="did not finish here"):
        prepare(LoadSettings(NAME, device="cpu"))
    hub.requests.clear()
    prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE))
    assert [wanted for path, wanted, _ in hub.requests if "resolve" in path] == ["bytes=1000-"]


def flip(path):
    """Another byte in the middle, as a disk or an editor leaves it; the size is the same."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_file_is_there_when_its_hash_is_right(hub, tmp_path):
    files = list_files(MODELSCOPE, REPOSITORY)
    download.fetch(files, tmp_path, ignore)
    shard = max(files, key=lambda f: f.size_bytes)
    assert shard.sha256
    flip(tmp_path / shard.name)
    hub.requests.clear()
    download.fetch(files, tmp_path, ignore)
    assert [path.rpartition("/")[2] for path, *_ in hub.requests] == [shard.name]
    assert (tmp_path / shard.name).read_bytes() == hub.data(shard.name)


def test_why_something_is_downloaded_is_told(hub, models):
    prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE))
    shard = sorted((models / "Qwen-VL" / NAME).glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-9])
    notes = prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE)).plan.notes
    assert notes[0].startswith("Downloaded into") and f"{shard.name} is cut off" in notes[0]
    shard.write_bytes(shard.read_bytes()[:-9])
    hub.server.shutdown()
    hub.server.server_close()
    with pytest.raises(LoadError, match=r"is cut off.*The download failed: ModelScope does not"):
        prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE))


def test_what_a_download_does_not_mend_is_said_and_not_downloaded(hub, models, kind):
    """A copy of one's own under an official name: 4 GB of another would not be the answer."""
    folder = shutil.copytree(kind("dense"), models / NAME)
    edit_json(folder / "config.json", auto_map={})
    with pytest.raises(LoadError, match="auto_map"):
        prepare(LoadSettings(NAME, device="cpu", download=MODELSCOPE))
    assert not hub.requests


@pytest.mark.parametrize("source", [NO_DOWNLOAD, MODELSCOPE])
def test_a_damaged_copy_does_not_hide_a_whole_one(hub, models, kind, source):
    for place in ("a", "b"):
        shutil.copytree(kind("dense"), models / place / NAME)
    weights = models / "a" / NAME / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    found = prepare(LoadSettings(NAME, device="cpu", download=source))
    assert found.checkpoint.folder == models / "b" / NAME
    assert "is cut off" in found.plan.notes[0] and str(models / "b" / NAME) in found.plan.notes[0]
    assert not hub.requests


def test_an_interrupt_leaves_no_file_open(hub, tmp_path, monkeypatch):
    """Windows neither renames nor removes what a thread still holds, asleep on the network."""
    gates = []
    gate = download._Gate
    monkeypatch.setattr(download, "_Gate", lambda: gates.append(gate()) or gates[-1])
    shard = max(list_files(HUGGING_FACE, REPOSITORY), key=lambda f: f.size_bytes)
    hub.wait = 0.01

    def look(done, _total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download.fetch([shard], tmp_path, look)
    assert gates[-1]._file.closed
    assert gates[-1].open(tmp_path / "late", "wb") is gates[-1]._file
    assert not (tmp_path / "late").exists()


def test_certificates_are_there_where_python_has_none(monkeypatch):
    """Python from python.org knows none on macOS."""
    bare = lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # noqa: E731
    monkeypatch.setattr(remote.ssl, "create_default_context", bare)
    assert not bare().cert_store_stats()["x509_ca"]
    assert remote.trusted().cert_store_stats()["x509_ca"]
    https = [h for h in download._opener().handlers if hasattr(h, "https_open")]
    assert https and all(h._context.cert_store_stats()["x509_ca"] for h in https)
