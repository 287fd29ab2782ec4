"""Small files: whole or not at all, under kill, full disks, links and other runs."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.append_lines import append_whole, end_last_line
from qwen3vl_nodes.utils.files.atomic_write import TEMP_SUFFIX, write_whole
from qwen3vl_nodes.utils.files.folder_lock import only_writer, sweep
from qwen3vl_nodes.utils.roots.open_folder import OpenFolder


def no_space(_handle):
    raise OSError(28, "No space left on device")


def append(path, lines):
    with OpenFolder.at(path.parent) as folder:
        append_whole(folder, path.name, lines)


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_writing_is_whole_or_not_at_all_under_kill(tmp_path):
    """A process that writes for ever is killed many times: never half a caption."""
    code = f"""
import sys
sys.path.insert(0, {str(atomic_write.__file__).rsplit("/utils/", 1)[0] + "/tests"!r})
from qwen3vl_pack import load_pack; load_pack()
from pathlib import Path
from qwen3vl_nodes.utils.files.atomic_write import write_whole
print("up", flush=True)
n = 0
while True:
    n += 1
    write_whole(Path({str(tmp_path / "a.txt")!r}), str(n % 10).encode() * 50_000)
"""
    for milliseconds in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert writer.stdout
        writer.stdout.readline()
        while not (tmp_path / "a.txt").exists():
            pass
        time.sleep(milliseconds / 1000)
        writer.kill()
        writer.communicate()
        text = (tmp_path / "a.txt").read_text()
        assert len(text) == 50_000 and len(set(text)) == 1
    sweep(tmp_path)
    assert names_in(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("broken", ["fsync", "replace", "link"])
def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch, new, broken):
    path = tmp_path / "a.txt"
    if not new:
        path.write_text("old")
    for name in {"replace": ("replace", "link")}.get(broken, (broken,)):
        monkeypatch.setattr(atomic_write.os, name, lambda *_, **__: no_space(0))
    if broken == "link":  # as on file systems without hard links: it is renamed
        write_whole(path, b"new", new)
        assert path.read_text() == "new"
    else:
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"new", new)
        assert path.exists() != new
    assert names_in(tmp_path) == ["a.txt"] * path.exists()


@pytest.mark.parametrize("links", [True, False])
def test_only_where_nothing_is(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(atomic_write.os, "link", lambda *_, **__: no_space(0))
    write_whole(tmp_path / "a.txt", b"mine")
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.txt", b"new", new=True)
    assert (tmp_path / "a.txt").read_text() == "mine" and names_in(tmp_path) == ["a.txt"]


def test_a_temporary_file_that_stays_is_no_failure(tmp_path, monkeypatch):
    def held_open(*_args, **_kwargs):
        raise PermissionError(13, "in use by a scanner")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", held_open)
        write_whole(tmp_path / "a.txt", b"x", new=True)
    assert (tmp_path / "a.txt").read_text() == "x" and len(names_in(tmp_path)) == 2
    sweep(tmp_path)
    assert names_in(tmp_path) == ["a.txt"]


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    write_whole(tmp_path / ("n" * 251 + ".txt"), b"x")
    assert len(names_in(tmp_path)[0]) == 255


def test_two_writers_of_one_file_never_share_a_temporary_one(tmp_path, monkeypatch):
    """Two runs on nested folders: what one has put in place the other must not open again."""
    opened, really_open = [], os.open

    def watched(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            opened.append(Path(path).name)
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", watched)
    write_whole(tmp_path / "a.txt", b"1")
    write_whole(tmp_path / "a.txt", b"2")
    assert len(set(opened)) == 2
    (tmp_path / opened[0]).symlink_to(tmp_path / "precious")
    monkeypatch.setattr(atomic_write.secrets, "token_hex", lambda _: opened[0].split(".")[1])
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a.txt", b"3")
    assert not (tmp_path / "precious").exists() and (tmp_path / "a.txt").read_text() == "2"


@pytest.mark.parametrize("new", [True, False])
def test_a_sweep_by_a_run_around_this_one_costs_no_caption(tmp_path, monkeypatch, new):
    sync, swept = os.fsync, []

    def sweep_once(handle):
        sync(handle)
        if not swept:
            swept.append(True)
            sweep(tmp_path)

    monkeypatch.setattr(atomic_write.os, "fsync", sweep_once)
    write_whole(tmp_path / "a.txt", b"x", new)
    assert swept and (tmp_path / "a.txt").read_text() == "x" and names_in(tmp_path) == ["a.txt"]


def test_leftovers_of_killed_runs_are_swept_but_nothing_else(tmp_path, monkeypatch):
    kept = ["a.txt", f"b.psd{TEMP_SUFFIX}", f"d.txt{TEMP_SUFFIX}.bak"]
    gone = [f"c.txt{TEMP_SUFFIX}", f"sub/.0123.json{TEMP_SUFFIX}", f".x.jsonl{TEMP_SUFFIX}"]
    for name in kept + gone:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    (tmp_path / f"e.txt{TEMP_SUFFIX}").mkdir()  # cannot be unlinked, as what we may not remove
    sweep(tmp_path)
    assert all((tmp_path / name).exists() for name in kept)
    assert not any((tmp_path / name).exists() for name in gone)


def test_only_a_recursive_run_sweeps_the_folders_inside(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b"):
        (tmp_path / f"{name}.txt{TEMP_SUFFIX}").write_text("half")
    sweep(tmp_path, recursive=False)
    assert names_in(tmp_path) == ["sub", f"sub/b.txt{TEMP_SUFFIX}"]


def test_a_sweep_leaves_alone_what_a_run_of_its_own_is_writing(tmp_path):
    inside = tmp_path / "sub" / "deep"
    inside.mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "sub", inside):
        (folder / f"a.txt{TEMP_SUFFIX}").write_text("half")
    with only_writer(tmp_path / "sub"):
        sweep(tmp_path)
        assert {path.parent.name for path in tmp_path.rglob("a.*")} == {"sub", "deep"}
        sweep(inside, root=tmp_path)
        assert len(list(tmp_path.rglob("a.*"))) == 2
    sweep(tmp_path)
    assert not list(tmp_path.rglob("a.*"))


def test_a_sweep_passes_by_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"x.txt{TEMP_SUFFIX}").write_text("half")
    listed = os.scandir

    def broken(folder):
        if os.fspath(folder).endswith("b"):
            raise OSError(5, "Input/output error")
        return listed(folder)

    monkeypatch.setattr(atomic_write.os, "scandir", broken)
    sweep(tmp_path)
    monkeypatch.undo()
    assert names_in(tmp_path) == ["a", "b", f"b/x.txt{TEMP_SUFFIX}", "c"]


def test_lines_are_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    append(path, b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(atomic_write.os, "fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            append(path, b"two\n")
    assert path.read_bytes() == b"one\n"
    append(path, b"three\n" * 100_000)
    assert path.read_bytes() == b"one\n" + b"three\n" * 100_000


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of that kind")
def test_nothing_is_left_of_lines_that_a_full_disk_took_in_part(tmp_path):
    """A limit takes a part of a write, and would take the rest once there is room again."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(atomic_write.__file__).rsplit("/utils/", 1)[0] + "/tests"!r})
from qwen3vl_pack import load_pack; load_pack()
from pathlib import Path
from qwen3vl_nodes.utils.files.append_lines import append_whole
from qwen3vl_nodes.utils.roots.open_folder import OpenFolder
folder = OpenFolder.at(Path({str(tmp_path)!r}))
append_whole(folder, "a.jsonl", b"x" * 990 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    append_whole(folder, "a.jsonl", b"y" * 500)
except OSError as error:
    print("refused")
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout == "refused\n" and (tmp_path / "a.jsonl").stat().st_size == 991


@pytest.mark.parametrize(
    ("before", "after"), [(b"a", b"a\n"), (b"a\n", b"a\n"), (b"", b""), (b"a\nb", b"a\nb\n")]
)
def test_the_last_line_is_ended(tmp_path, before, after):
    (tmp_path / "x").write_bytes(before)
    with OpenFolder.at(tmp_path) as folder:
        end_last_line(folder, "x")
        assert (tmp_path / "x").read_bytes() == after
        end_last_line(folder, "missing")


def test_many_threads_write_many_files(tmp_path):
    def write(number):
        for n in range(20):
            write_whole(tmp_path / f"{n % 3}.txt", str(number).encode() * 1000)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names_in(tmp_path) == ["0.txt", "1.txt", "2.txt"]
    assert all(len(set((tmp_path / name).read_text())) == 1 for name in names_in(tmp_path))
