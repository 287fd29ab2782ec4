"""PDFs in allowed folders: the menu, the opening, and pages one at a time."""

import os

import pytest
from PIL import Image
from qwen3vl_nodes.utils.errors import InputError
from qwen3vl_nodes.utils.files.pdf_pages import PdfPages, located, opened, pdf_menu, stamp_of
from qwen3vl_nodes.utils.roots.allowed_folders import AllowedFolders, Root
from support.pdf_files import encrypted, picture_pdf


@pytest.fixture
def folders(tmp_path):
    place = tmp_path / "input"
    (place / "deep").mkdir(parents=True)
    pages = [Image.new("RGB", (100 + 10 * n, 80), (200, 0, 0)) for n in range(4)]
    (place / "a.pdf").write_bytes(picture_pdf(pages))
    (place / "deep" / "b.PDF").write_bytes(picture_pdf(pages[:1]))
    (place / "locked.pdf").write_bytes(encrypted("secret"))
    (place / "note.txt").write_text("x")
    return AllowedFolders((Root("input", place, True),))


def test_the_menu_has_the_pdfs_by_name(folders):
    assert pdf_menu(folders) == ["input/a.pdf", "input/locked.pdf", "input/deep/b.PDF"]


def test_pages_come_in_the_order_that_was_asked_for(folders):
    folder, name = located(folders, "input/a.pdf")
    pages = PdfPages(folder, name, (3, 1), dpi=72)
    assert len(pages) == 2
    assert pages.labels == ["a.pdf page 3", "a.pdf page 1"]
    assert [p.size_wh for p in pages.pictures()] == [(120, 80), (100, 80)]
    assert [p.size_wh[0] for p in pages.pictures()] == [120, 100]  # again


@pytest.mark.parametrize(
    "file",
    ["a.pdf", "input/note.txt", "/etc/a.pdf", "input/../a.pdf", "other/a.pdf", "input/x\0.pdf",
     "~/a.pdf", "", "input/", "input/a.pdf/..", "C:\\a.pdf"],
)  # fmt: skip
def test_other_names_are_refused(folders, file):
    with pytest.raises(InputError):
        folder, name = located(folders, file)
        with opened(folder, name):
            pass


def test_a_link_out_is_not_followed(folders, tmp_path):
    (tmp_path / "secret.pdf").write_bytes(encrypted(""))
    (tmp_path / "input" / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    folder, name = located(folders, "input/link.pdf")
    with pytest.raises(InputError), opened(folder, name):
        pass
    assert stamp_of(folder, name) == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_never_waited_for(folders, tmp_path):
    os.mkfifo(tmp_path / "input" / "pipe.pdf")
    with pytest.raises(InputError, match="ordinary"), opened(*located(folders, "input/pipe.pdf")):
        pass


@pytest.mark.parametrize("name", ["gone.pdf", "empty.pdf", "deep.pdf"])
def test_what_is_not_there_is_named(folders, tmp_path, name):
    (tmp_path / "input" / "empty.pdf").write_bytes(b"")
    (tmp_path / "input" / "deep.pdf").mkdir()
    place = located(folders, f"input/{name}")
    words = name.replace(".", r"\.")
    with pytest.raises(InputError, match=words) as caught, opened(*place):
        pass
    assert caught.value.remedy


def test_a_password_opens_and_is_not_shown(folders):
    folder, name = located(folders, "input/locked.pdf")
    pages = PdfPages(folder, name, (1,), 72, 0, "secret")
    assert len(list(pages.pictures())) == 1
    assert "secret" not in repr(pages)
    with pytest.raises(InputError, match="encrypted"):
        next(PdfPages(folder, name, (1,)).pictures())


def test_a_changed_file_has_another_stamp(folders, tmp_path):
    folder, name = located(folders, "input/a.pdf")
    before = stamp_of(folder, name)
    (tmp_path / "input" / "a.pdf").write_bytes(b"%PDF-other")
    assert before and stamp_of(folder, name) != before
