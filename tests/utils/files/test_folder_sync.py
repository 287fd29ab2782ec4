"""Folders that cannot be synced: a refusal is nothing, a disk that failed is a failure."""

import errno
import os
import stat
import threading
import time

import pytest
from caption_runs import allowed, recipe
from qwen3vl_nodes.utils.captions.place import Place
from qwen3vl_nodes.utils.captions.record import Record
from qwen3vl_nodes.utils.captions.sidecars import TextFiles
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files import atomic_write
from qwen3vl_nodes.utils.files.append_lines import append_whole
from qwen3vl_nodes.utils.files.folder_lock import HOLDER_NAME, only_writer
from qwen3vl_nodes.utils.roots.open_folder import OpenFolder


def append(folder, lines):
    with OpenFolder.at(folder) as opened:
        return append_whole(opened, "lines", lines)


@pytest.fixture
def folder_sync_fails(monkeypatch):
    """Lets the sync of a folder, not that of a file, raise an errno."""

    def fail(number):
        sync = os.fsync

        def fsync(handle):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            sync(handle)

        monkeypatch.setattr(atomic_write.os, "fsync", fsync)

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC])
def test_a_caption_whose_name_may_be_lost_is_not_told_as_written(
    tmp_path, folder_sync_fails, number
):
    folder_sync_fails(number)
    store = TextFiles(allowed(tmp_path))
    (outcome,) = store.write([Record(Place("a.png"), recipe(), content=b"a cat")])
    assert isinstance(outcome, OSError) and outcome.errno == number
    with pytest.raises(OSError, match=os.strerror(number)):
        append(tmp_path, b"one\n")
    assert (tmp_path / "lines").read_bytes() == b""


def test_a_file_system_that_syncs_no_folders_is_no_failure(tmp_path, folder_sync_fails):
    folder_sync_fails(errno.EINVAL)
    store = TextFiles(allowed(tmp_path))
    assert store.write([Record(Place("a.png"), recipe(), content=b"a cat")]) == [None]
    assert append(tmp_path, b"one\n") == 0


def test_a_run_that_has_only_just_begun_is_named_all_the_same(tmp_path):
    """Between taking the lock and saying who has it."""
    with only_writer(tmp_path):
        holder = (tmp_path / HOLDER_NAME).read_bytes()
        (tmp_path / HOLDER_NAME).unlink()
        late = threading.Timer(0.1, (tmp_path / HOLDER_NAME).write_bytes, [holder])
        late.start()
        with pytest.raises(InputError, match=f"process {os.getpid()} on "), only_writer(tmp_path):
            pass
        late.join()


def test_a_run_that_is_just_ending_is_waited_for(tmp_path):
    began = threading.Event()

    def end_soon():
        with only_writer(tmp_path):
            began.set()
            time.sleep(0.1)

    ending = threading.Thread(target=end_soon)
    ending.start()
    began.wait()
    with only_writer(tmp_path):
        assert (tmp_path / HOLDER_NAME).exists()
    ending.join()
