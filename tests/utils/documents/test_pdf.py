"""PDFs made for the purpose: pages, ranges, passwords, turned and damaged ones, memory."""

import gc
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.utils.documents import pdf_file
from qwen3vl_nodes.utils.documents.pdf_file import PageRange, open_pdf
from qwen3vl_nodes.utils.errors import InputError
from support.pdf_files import encrypted, picture_pdf, turned


def file_of(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)


RED, GREEN = (250, 10, 10), (10, 250, 10)


def two_pages() -> bytes:
    return picture_pdf([Image.new("RGB", (300, 200), RED), Image.new("RGB", (200, 300), GREEN)])


def test_pages_have_their_own_size_and_colors():
    with open_pdf(file_of(two_pages()), "x.pdf") as document:
        assert document.page_count == 2
        first, second = document.pages([1, 2], dpi=144)
    assert first.size_wh == (600, 400)
    assert second.size_wh == (400, 600)
    assert np.abs(first.pixels[200, 300].astype(int) - RED).max() < 8
    assert np.abs(second.pixels[300, 200].astype(int) - GREEN).max() < 8


def test_pages_are_drawn_only_when_they_are_taken(monkeypatch: pytest.MonkeyPatch):
    with open_pdf(file_of(two_pages()), "x.pdf") as document:
        drawn = []
        draw = document._draw
        monkeypatch.setattr(document, "_draw", lambda n, *rest: drawn.append(n) or draw(n, *rest))
        pages = document.pages([2, 1])
        assert drawn == []
        next(pages)
        assert drawn == [2]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_with_a_rotation_is_upright(degrees: int):
    picture = Image.new("RGB", (300, 200), (255, 255, 255))
    picture.paste(RED, (0, 0, 60, 40))  # upper left
    data = turned(picture_pdf([picture]), degrees)
    with open_pdf(file_of(data), "x.pdf") as document:
        page = Image.fromarray(document.page(1, dpi=72).pixels)
    # /Rotate turns clockwise what is drawn.
    expected = picture.rotate(-degrees, expand=True)
    assert page.size == expected.size
    difference = np.abs(np.asarray(page).astype(int) - np.asarray(expected)).mean()
    assert difference < 3


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_scan_can_be_turned_further(turn: int):
    picture = Image.new("RGB", (300, 200), (255, 255, 255))
    picture.paste(RED, (0, 0, 60, 40))
    with open_pdf(file_of(picture_pdf([picture])), "x.pdf") as document:
        page = document.page(1, 72, turn).pixels
    expected = np.asarray(picture.rotate(-turn, expand=True))
    assert np.abs(page.astype(int) - expected).mean() < 3


def test_another_turn_is_refused():
    with open_pdf(file_of(two_pages()), "x.pdf") as document, pytest.raises(InputError, match="45"):
        document.page(1, 72, 45)


def test_passwords():
    data = encrypted("secret")
    with open_pdf(file_of(data), "x.pdf", "secret") as document:
        assert document.page_count >= 1
        document.page(1, 36)
    with (
        pytest.raises(InputError, match=r"x\.pdf is encrypted\."),
        open_pdf(file_of(data), "x.pdf"),
    ):
        pass
    with (
        pytest.raises(InputError, match="password is wrong"),
        open_pdf(file_of(data), "x.pdf", "guess"),
    ):
        pass


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"%PDF-1.7 junk", b"\x89PNG\r\n", b"%PDF-1.4\n%%EOF", b"<html>%PDF</html>"],
)
def test_what_is_no_pdf(data: bytes):
    with pytest.raises(InputError, match=r"bad\.pdf") as caught, open_pdf(file_of(data), "bad.pdf"):
        pass
    assert caught.value.remedy


def test_every_cut_of_a_pdf_opens_or_is_refused():
    data = two_pages()
    for length in range(0, len(data), max(1, len(data) // 60)):
        try:
            with open_pdf(file_of(data[:length]), "cut.pdf") as document:
                for number in range(1, document.page_count + 1):
                    document.page(number, 36)
        except InputError:
            continue


def test_damaged_bytes_never_crash():
    data = bytearray(two_pages())
    dice = np.random.default_rng(3)
    for _ in range(150):
        damaged = bytearray(data)
        for place in dice.integers(0, len(data), 12):
            damaged[place] = int(dice.integers(0, 256))
        try:
            with open_pdf(file_of(bytes(damaged)), "damaged.pdf") as document:
                document.page(1, 36)
        except InputError:
            continue


def test_a_page_is_never_larger_than_the_ceiling(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pdf_file, "MAX_PAGE_PIXELS", 10_000)
    with open_pdf(file_of(two_pages()), "x.pdf") as document:
        width, height = document.page(1, dpi=100_000).size_wh
    assert width * height <= 10_100
    assert abs(width / height - 1.5) < 0.05


def test_there_is_no_page_zero_or_three():
    with open_pdf(file_of(two_pages()), "x.pdf") as document:
        for number in (0, 3, -1):
            with pytest.raises(InputError, match="has no page"):
                document.page(number)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", [1, 2, 3, 4, 5]), ("2", [2]), ("1-3", [1, 2, 3]), ("4-", [4, 5]), ("-2", [1, 2]),
        ("3, 1", [3, 1]), ("1,1-2", [1, 2]), (" 2 - 3 ; 5 ", [2, 3, 5]), ("2\u20133", [2, 3]),
    ],
)  # fmt: skip
def test_ranges(text: str, numbers: list[int]):
    assert PageRange.parse(text).numbers(5) == numbers


@pytest.mark.parametrize("text", ["x", "3-1", "0", "-", "1--2", "1.5", "6", "2-9", "99999999"])
def test_refused_ranges(text: str):
    with pytest.raises(InputError) as caught:
        PageRange.parse(text).numbers(5)
    assert caught.value.remedy


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(InputError, match="pypdfium2"), open_pdf(file_of(two_pages()), "x.pdf"):
        pass


def test_many_pages_leave_no_memory_behind():
    picture = Image.new("RGB", (400, 400), RED)
    data = picture_pdf([picture] * 30)
    rss = Path("/proc/self/statm")
    if not rss.exists():
        pytest.skip("no /proc here")

    def megabytes() -> float:
        gc.collect()
        return int(rss.read_text().split()[1]) * 4096 / 1e6

    with open_pdf(file_of(data), "x.pdf") as document:
        for page in document.pages([1, 2, 3], dpi=144):
            assert page.size_wh == (800, 800)
        before = megabytes()
        for _ in document.pages(list(range(4, 31)), dpi=144):
            pass
        # 27 pages of 1.9 MB each would be 52 MB.
        assert megabytes() - before < 25
