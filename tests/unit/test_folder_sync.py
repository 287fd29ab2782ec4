"""Folders that cannot be synced: a refusal is nothing, a disk that failed is a failure."""

import errno
import os
import stat

import pytest
from qwen3vl_nodes.utils import sidecar_files
from qwen3vl_nodes.utils.caption_slots import Slot
from qwen3vl_nodes.utils.caption_store import Write
from qwen3vl_nodes.utils.caption_store_files import TextFiles
from qwen3vl_nodes.utils.line_files import append_whole


@pytest.fixture
def folder_sync_fails(monkeypatch):
    """Lets the sync of a folder, not that of a file, raise an errno."""

    def fail(number):
        sync = os.fsync

        def fsync(handle):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            sync(handle)

        monkeypatch.setattr(sidecar_files.os, "fsync", fsync)

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC])
def test_a_caption_whose_name_may_be_lost_is_not_told_as_written(
    tmp_path, folder_sync_fails, number
):
    folder_sync_fails(number)
    store = TextFiles(tmp_path, lambda path: path)
    (outcome,) = store.write([Write(Slot("a.png"), b"a cat", None)])
    assert isinstance(outcome, OSError) and outcome.errno == number
    with pytest.raises(OSError, match=os.strerror(number)):
        append_whole(tmp_path / "lines", b"one\n")
    assert (tmp_path / "lines").read_bytes() == b""


def test_a_file_system_that_syncs_no_folders_is_no_failure(tmp_path, folder_sync_fails):
    folder_sync_fails(errno.EINVAL)
    store = TextFiles(tmp_path, lambda path: path)
    assert store.write([Write(Slot("a.png"), b"a cat", None)]) == [None]
    assert append_whole(tmp_path / "lines", b"one\n") == 0
