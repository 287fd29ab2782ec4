"""One run at a time in a folder, and nothing opened there that is not what it seems."""

import errno
import json
import os

import pytest
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import atomic_write, folder_lock
from qwen3vl_nodes.utils.files.atomic_write import check_own_files, check_space, naming
from qwen3vl_nodes.utils.files.folder_lock import HOLDER_NAME, LOCK_NAME, only_writer


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_writer_at_a_time_and_the_second_is_told_who(tmp_path):
    with only_writer(tmp_path):
        held_by = json.loads((tmp_path / HOLDER_NAME).read_text())
        with pytest.raises(InputError, match="Another run") as caught, only_writer(tmp_path):
            pass
        assert f"process {held_by['process']}" in caught.value.problem
        (tmp_path / HOLDER_NAME).write_text("[torn")
        with pytest.raises(InputError, match="Another run"), only_writer(tmp_path):
            pass
    with only_writer(tmp_path):
        pass
    assert names_in(tmp_path) == [LOCK_NAME]


def test_the_lock_is_given_back_after_any_end(tmp_path):
    class Interrupted(BaseException):
        pass

    with pytest.raises(Interrupted), only_writer(tmp_path):
        raise Interrupted
    with only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_into_is_named_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "in" / LOCK_NAME).mkdir(parents=True)  # refuses root too, as no mode does
    (tmp_path / "held" / HOLDER_NAME).mkdir(parents=True)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "in", tmp_path / "held", tmp_path / "file" / "captions"):
        with pytest.raises(InputError, match="cannot be written into") as caught:
            only_writer(folder).__enter__()
        assert str(folder) in caught.value.problem and caught.value.remedy
    with pytest.raises(InputError, match="Permission denied"), naming(tmp_path):
        raise PermissionError(13, "Permission denied")

    def no_locks(*_args, **_kwargs):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder_lock, "_lock", no_locks)
    with pytest.raises(InputError, match="No locks"), only_writer(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
@pytest.mark.parametrize("kind", ["link", "broken link", "folder", "pipe"])
def test_files_of_ours_that_are_no_files_are_not_opened(tmp_path, kind):
    path = tmp_path / "in" / ".qwen3vl.jsonl"
    path.parent.mkdir()
    (tmp_path / "precious").write_text("precious")
    make = {
        "link": lambda: path.symlink_to(tmp_path / "precious"),
        "broken link": lambda: path.symlink_to(tmp_path / "nowhere"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    with pytest.raises(InputError, match="is a link, a folder or a pipe") as caught:
        check_own_files(path.parent, [LOCK_NAME, path.name])
    assert str(path) in caught.value.problem and caught.value.remedy
    (path.rmdir if kind == "folder" else path.unlink)()
    path.touch()
    check_own_files(path.parent, [LOCK_NAME, path.name])


def test_a_nearly_full_disk_is_said(tmp_path, monkeypatch):
    usage = atomic_write.shutil.disk_usage("/")._replace(free=1_500_000)
    monkeypatch.setattr(atomic_write.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(InputError, match=r"has 1\.5 MB left.*Make room"):
        check_space(tmp_path)
