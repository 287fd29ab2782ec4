"""Folder runs over files of several sorts, some of which take many requests for one caption."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from caption_runs import allowed, recipe
from qwen3vl_nodes.utils.captions.policy import SKIP
from qwen3vl_nodes.utils.captions.recipe import Recipe
from qwen3vl_nodes.utils.captions.sidecars import TextFiles, store_maker
from qwen3vl_nodes.utils.chat.messages import Message
from qwen3vl_nodes.utils.chat.requests import Outcome, Reply, Request
from qwen3vl_nodes.utils.dataset.captioning import ATTEMPTS, Captioning
from qwen3vl_nodes.utils.dataset.medium import Media, Medium, Subject
from qwen3vl_nodes.utils.dataset.scope import Scope
from qwen3vl_nodes.utils.errors import InputError, TooLargeError
from qwen3vl_nodes.utils.files.fingerprint import FileFacts, digest
from qwen3vl_nodes.utils.images.picture import Clip
from qwen3vl_nodes.utils.roots.allowed_folders import FolderFile
from qwen3vl_nodes.utils.roots.listing import FileChoice


@dataclass(frozen=True)
class Asked:
    """What is asked of a page, or of a film; a caption is all the answers, a line each."""

    recipe: Recipe
    film: bool = False

    def request(self, media, part: int, seed: int, halvings: int) -> Request:
        if media[part] == "torn":
            raise InputError(f"Page {part + 1} cannot be drawn.", "Repair it.")
        words = f"{media[part]} /{2**halvings}"
        if not self.film:
            return Request((Message("user", (words,)),), seed=seed)
        frames = np.zeros((3, 8, 8, 3), np.uint8)
        frames[1] = 200
        clip = Clip(frames, 1.0, (0, 1, 2), 3)
        return Request((Message("user", (clip, words)),), seed=seed)

    def seed_for(self, digest: bytes, attempt: int) -> int:
        return attempt

    def misfit(self, answer: str) -> InputError | None:
        return InputError("It rhymes.", "Ask again.") if "rhyme" in answer else None

    def answer(self, outcomes: Sequence[Outcome]) -> str:
        for number, outcome in enumerate(outcomes, 1):
            if not isinstance(outcome, Reply):
                raise InputError(f"Page {number}: {outcome}", "Look at it.")
        return "\n".join(outcome.text for outcome in outcomes)


class Library:
    """Media of two sorts, which knows what is open."""

    def __init__(self):
        self.opened, self.closed = [], []
        pages = Medium("document", (".doc",), self.read, {"": Asked(recipe("pages"))}, ahead=2)
        films = {"": Asked(recipe("film"), True), "tags": Asked(recipe("tags", "tags"), True)}
        self.media = Media((pages, Medium("film", (".mp4", ".webm"), self.read_film, films)))

    def read(self, file: FolderFile) -> Subject:
        with file.open() as opened:
            data = opened.read()
        if not data:
            raise InputError(f"{file.name} is empty.", "Remove it.")
        self.opened.append(file.name)
        pages = data.decode().split()
        return Subject(
            pages, FileFacts(digest(data), "1-1-1"), len(pages), "locked" * (pages[0] == "key"),
            lambda: self.closed.append(file.name),
        )  # fmt: skip

    def read_film(self, file: FolderFile) -> Subject:
        with file.open() as opened:
            return Subject([file.name], FileFacts(digest(opened.read()), "1-1-1"))


def folder_of(tmp_path, **files):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def captioned(folder, answer, attempts=ATTEMPTS, library=None):
    """The ledger, what was asked in order, and the library."""
    library = library or Library()
    asked = []

    def generate(requests, total):
        for number, request in enumerate(requests):
            asked.append((work.title(number), request.messages[-1].parts[-1], request.seed))
            outcome = answer(request.messages[-1].parts[-1], request.seed)
            text = outcome if isinstance(outcome, str) else ""
            reply = Reply(text, "", "end", 1, 1, 1.0, 0.5)
            yield number, reply if isinstance(outcome, str) else outcome

    into = allowed(folder)
    scope = Scope(into, into, FileChoice(), store_maker("txt"), SKIP)
    with scope.open_run() as files:
        work = Captioning(files, library.media, lambda: None)
        work.caption(scope.wanted(files, library.media, lambda: None), generate, attempts)
    return str(files.ledger), asked, library, work


def test_every_sort_of_file_is_read_and_asked_in_its_own_way(tmp_path):
    folder = folder_of(tmp_path, a_doc="one two", b_mp4="x", c_png="no", d_WEBM="y")
    ledger, asked, library, work = captioned(folder, lambda words, seed: f"said {words}")
    assert ledger.splitlines()[-1] == "written 5, skipped 0, failed 0" and "c.png" not in ledger
    assert [title for title, *_ in asked] == [
        "a.doc (1 of 2)", "a.doc (2 of 2)", "b.mp4", "b.mp4 [tags]", "d.WEBM", "d.WEBM [tags]",
    ]  # fmt: skip
    assert (folder / "a.txt").read_text() == "said one /1\nsaid two /1"
    assert (folder / "b.tags.txt").read_text() == "said b.mp4 /1"
    assert library.opened == library.closed == ["a.doc"]
    assert work.last_picture.pixels[0, 0, 0] == 200  # the middle frame
    assert captioned(folder, lambda *_: pytest.fail("asked again"))[0].count("is up to date") == 5


def test_only_the_parts_that_failed_are_asked_again(tmp_path):
    folder = folder_of(tmp_path, a_doc="one two three four", b_doc="five")

    def answer(words, seed):
        if words.startswith("two") and seed == 0:
            return ""
        if words == "four /1":
            return TooLargeError("Out of memory.", "Smaller.")
        return f"{words} {seed}"

    ledger, asked, library, _ = captioned(folder, answer)
    assert [words for _, words, _ in asked] == [
        "one /1", "two /1", "three /1", "four /1", "five /1", "two /1", "four /2",
    ]  # fmt: skip
    assert (folder / "a.txt").read_text() == "one /1 0\ntwo /1 1\nthree /1 0\nfour /2 0"
    assert "written a.doc: seen with 1/2 of its pixels, for want of memory" in ledger
    assert library.closed == ["a.doc", "b.doc", "a.doc"]


def test_an_answer_that_does_not_fit_is_asked_for_again(tmp_path):
    folder = folder_of(tmp_path, a_doc="one two", b_doc="three")

    def answer(words, seed):
        tries = {"two /1": 1, "three /1": 5}.get(words, 0)
        return f"rhyme {words}" if seed < tries else words

    ledger, asked, _, _ = captioned(folder, answer)
    assert [words for _, words, _ in asked] == [
        "one /1",
        "two /1",
        "three /1",
        "two /1",
        "three /1",
    ]
    assert (folder / "a.txt").read_text() == "one /1\ntwo /1"
    assert "failed  b.doc: Page 1: It rhymes." in ledger


@pytest.mark.parametrize("torn", [0, 1, 2])
def test_a_part_that_fails_for_good_is_told_to_the_kind(tmp_path, torn):
    pages = ["one", "two", "three"]
    pages[torn] = "torn"
    folder = folder_of(tmp_path, a_doc=" ".join(pages), b_doc="five", c_doc="", d_doc="torn torn")
    ledger = captioned(folder, lambda words, seed: words)[0]
    assert f"failed  a.doc: Page {torn + 1}: Page {torn + 1} cannot be drawn." in ledger
    assert "failed  c.doc: c.doc is empty." in ledger and "failed  d.doc: Page 1" in ledger
    assert ledger.endswith("written 1, skipped 0, failed 3")
    assert [path.name for path in folder.glob("*.txt")] == ["b.txt"]


def test_what_is_to_be_said_of_a_file_is_in_the_ledger_once(tmp_path):
    folder = folder_of(tmp_path, a_doc="key two")
    assert "written a.doc: locked\n" in captioned(folder, lambda words, seed: words)[0]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
def test_what_a_node_shows_of_a_name_can_be_sent_to_a_browser(tmp_path):
    """ComfyUI sends it as UTF-8; half a character would end the run, and others turn the line."""
    folder = folder_of(tmp_path)
    for name in (os.fsdecode(b"caf\xe9.doc"), "x\u202egpj.doc"):
        (folder / name).write_text("one")
    ledger, asked, _, _ = captioned(folder, lambda words, seed: words)
    assert ledger.endswith("written 2, skipped 0, failed 0")
    assert [title for title, *_ in asked] == ["caf\\udce9.doc", "x\\u202egpj.doc"]


def test_files_of_two_sorts_with_one_stem_clash(tmp_path):
    folder = folder_of(tmp_path, a_doc="one", a_mp4="x")
    ledger = captioned(folder, lambda words, seed: words)[0]
    assert ledger.count("Another file has the same name but for its ending") == 3


def test_a_stop_closes_what_is_open(tmp_path):
    class Stop(BaseException):
        pass

    folder = folder_of(tmp_path, a_doc="one two three", b_doc="four")

    def answer(words, _seed):
        if words == "two /1":
            raise Stop
        return words

    library = Library()
    with pytest.raises(Stop):
        captioned(folder, answer, library=library)
    assert library.closed[:1] == ["a.doc"] and not list(folder.glob("*.txt"))
    assert captioned(folder, lambda words, _: words)[0].startswith("written a.doc")


def test_a_folder_without_such_files_says_what_it_looked_for(tmp_path):
    folder = folder_of(tmp_path, a_png="x")
    with pytest.raises(InputError, match="holds no document or film that is meant"):
        captioned(folder, lambda *_: "")


def test_captions_may_have_another_ending(tmp_path):
    folder = folder_of(tmp_path, a_doc="one")
    library = Library()
    into = allowed(folder)
    scope = Scope(into, into, FileChoice(), partial(TextFiles, ending=".md"), SKIP)
    with scope.open_run(dry_run=True) as files:
        Captioning(files, library.media, lambda: None).try_out(
            scope.wanted(files, library.media, lambda: None), lambda _: None
        )
    assert str(files.ledger) == "pending a.doc\nwould write 1, skipped 0, failed 0"
    assert library.closed == ["a.doc"] and not (folder / "a.md").exists()


def test_an_answered_request_has_no_title_and_stops_no_run(tmp_path):
    """A last word about it may come late, from an engine that tells a few times a second."""
    folder, titles = folder_of(tmp_path, a_doc="one two", b_mp4="x"), []
    library = Library()

    def generate(requests, total):
        for number, _ in enumerate(requests):
            yield number, Reply("a caption", "", "end", 1, 1, 1.0, 0.5)
            titles.append(work.title(number))

    into = allowed(folder)
    scope = Scope(into, into, FileChoice(), store_maker("txt"), SKIP)
    with scope.open_run() as files:
        work = Captioning(files, library.media, lambda: None)
        work.caption(scope.wanted(files, library.media, lambda: None), generate, ATTEMPTS)
    assert titles and set(titles) == {""}
