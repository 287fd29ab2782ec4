"""The command line, the job file, and what is shown while the work goes on."""

import io
import json
import subprocess
import sys
from types import SimpleNamespace

import caption_folder
import pytest
from caption_client import progress
from caption_client.command_line import options
from caption_client.ledger import Line, read_ledger
from qwen3vl_nodes.utils.chat.tasks import tasks_in
from qwen3vl_pack import ROOT

CLIENT = ROOT / "examples" / "caption_folder.py"


@pytest.fixture
def refused(capsys):
    """Runs the command line, which has to end with exit code 2; returns what it said."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            options("", [str(argument) for argument in arguments])
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Say which folders"),
        (["--folder", "nowhere"], "There is no folder nowhere"),
        (["--on-server", ""], "Give either"),
        (["--jobs", "nowhere.json"], "cannot be read"),
        (["--on-server", "x", "--mode", "overwrite"], "invalid choice"),
        (["--on-server", "x", "--mode", "overwrite all"], "say --allow-overwrite-all too"),
        (["--folder", ".", "--mode", "append to captions"], "works with --on-server only"),
        (["--folder", ".", "--mode", "prepend to captions"], "works with --on-server only"),
        (["--folder", ".", "--place", "in the output folder"], "come back to yours"),
        (["--on-server", "x", "--overwrite", "--mode", "skip existing"], "give one of them"),
        (["--on-server", "x", "--replace", "a"], "not of the form"),
        (["--on-server", "x", "--replace", " => b"], "not of the form"),
        (["--on-server", "x", "--include", " "], "not one line"),
        (["--on-server", "x", "--exclude", "a\nb"], "not one line"),
        (["--folder", ".", "--more-presets", "Nope"], "no further preset 'Nope'"),
        (["--on-server", "x", "--max-characters", "-1"], "below 0"),
        (["--on-server", "x", "--seed", "-1"], "below 0"),
        (["--on-server", "x", "--wait", "-1"], "below 0"),
        (["--on-server", "x", "--retries", "-1"], "below 0"),
        (["--on-server", "x", "--json", "no/such/folder.json"], "there is no folder"),
        (["--on-server", "x", "--form", "json"], "unrecognized"),
    ],
)
def test_wrong_usage(refused, arguments, said):
    assert said in refused(*arguments)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "is no list of folders"),
        ('{"jobs": []}', "is no list of folders"),
        ("[5]", "folder 1: It is no object"),
        ('[{"on_server": "x"}, {"prest": "Tags"}]', "folder 2: There is no setting 'prest'"),
        ('[{"on_server": "x", "seed": true}]', "seed has to be a int, not True"),
        ('[{"on_server": "x", "seed": "1"}]', "seed has to be a int"),
        ('[{"on_server": "x", "recursive": 1}]', "recursive has to be a bool"),
        ('[{"on_server": "x", "include": "*.png"}]', "include has to be a list of texts"),
        ('[{"on_server": "x", "include": [5]}]', "include has to be a list of texts"),
        ('[{"on_server": "x", "preset": null}]', "preset has to be a str"),
        ('[{"on_server": "x", "mode": "append"}]', "mode cannot be 'append'; it is one of skip"),
        ('[{"on_server": "x", "background": "red"}]', "background cannot be"),
        ('[{"preset": "Tags"}]', "folder 1: Give either"),
        ('[{"folder": ".", "on_server": "x"}]', "folder 1: Give either"),
        ('[{"folder": "nowhere"}]', "There is no folder"),
        ('[{"on_server": "x", "on_server": "y"}]', "a setting is there twice"),
    ],
)  # fmt: skip
def test_a_wrong_job_file(refused, tmp_path, text, said):
    (tmp_path / "jobs.json").write_text(text)
    assert said in refused("--jobs", tmp_path / "jobs.json")


def test_a_job_file_on_top_of_the_flags(tmp_path):
    (tmp_path / "cats").mkdir()
    entries = [
        {"folder": "cats", "preset": "Tags", "replace": ["a => b"]},
        {"on_server": "input/dogs", "seed": 5},
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(entries), encoding="utf-8-sig")
    flags = ["--on-server", "x", "--seed", "3", "--jobs", str(tmp_path / "jobs.json")]
    first, cats, dogs = options("", flags).jobs
    assert (first.on_server, first.seed) == ("x", 3)
    assert (cats.folder, cats.preset, cats.replace, cats.seed) == (
        tmp_path / "cats", "Tags", ("a => b",), 3,
    )  # fmt: skip
    assert (dogs.on_server, dogs.seed, dogs.preset) == ("input/dogs", 5, "Short caption")


def test_folders_in_their_order_and_twins_once():
    jobs = options(
        "", ["--on-server", "b", "--folder", ".", "--on-server", "a", "--on-server", "b"]
    )
    assert [job.name for job in jobs.jobs] == ["b", ".", "a"]


def test_overwrite_is_a_short_form():
    assert options("", ["--on-server", "x", "--overwrite"]).jobs[0].mode == "overwrite own"


def test_a_tilde_is_the_home_folder_in_any_shell(monkeypatch, tmp_path):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert options("", ["--folder", "~"]).jobs[0].folder == tmp_path


def test_the_further_presets_are_those_of_the_node():
    from caption_client.jobs import preset_ids

    assert preset_ids() == {task.title: task.id for task in tasks_in("caption")}


def test_an_empty_folder(call, tmp_path):
    code, _, err = call("--folder", tmp_path)
    assert (code, "holds no picture" in err) == (1, True)


def test_it_runs_from_any_folder(tmp_path):
    command = [sys.executable, CLIENT, "--folder", "x", "--server", "127.0.0.1:1"]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(b"0")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, "cannot be reached" in done.stderr) == (3, True)


def test_a_pipe_that_lacks_letters_gets_signs_for_them():
    """Windows writes pipes in its own code page."""
    pipe = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    caption_folder.print_all("written 猫.png, café.png", pipe)
    pipe.flush()
    assert pipe.buffer.getvalue().decode("cp1252").rstrip() == r"written \u732b.png, café.png"


def test_the_bar_is_drawn_on_a_terminal_only(call, folder, comfyui, monkeypatch):
    comfyui.waits_for_socket = True
    assert call("--folder", folder)[2] == ""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=terminal))
    call("--folder", folder, "--seed", 1, *("--mode", "overwrite all", "--allow-overwrite-all"))
    drawn = terminal.getvalue()
    assert "uploaded 2 of 2" in drawn
    assert "loading the model" in drawn
    assert "2 of 2" in drawn


@pytest.mark.parametrize(
    ("done", "total", "seconds", "since", "text"),
    [
        (0, 0, 0, 0, "·" * 30 + " 0 of 0"),
        (5, 10, 0, 0, "█" * 15 + "·" * 15 + " 5 of 10"),
        (10, 40, 5, 10, "█" * 7 + "·" * 23 + " 10 of 40, 2.0 pictures/s, 15 s left"),
        (1, 3601, 1, 1, "·" * 30 + " 1 of 3601, 1.0 pictures/s, 60 min left"),
        (1, 36001, 1, 1, "·" * 30 + " 1 of 36001, 1.0 pictures/s, 10 h 0 min left"),
    ],
)
def test_the_bar(done, total, seconds, since, text):
    assert progress.bar(done, total, seconds, since) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("written a.png", Line("a.png", "written")),
        ("written a: b.png: cut off", Line("a: b.png", "written", "cut off")),
        ("failed  a.png [tags]: x: y", Line("a.png [tags]", "failed", "x: y")),
        ("failed  sub/: not listed", Line("sub/", "failed", "not listed")),
        ("skipped odd: why", Line("odd", "skipped", "why")),
        ("pending a.png", Line("a.png", "pending")),
    ],
)
def test_lines_of_the_node(text, line):
    counts = [int(line.state == state) for state in ("written", "skipped", "failed")]
    first = "written" if line.state != "pending" else "would write"
    counts[0] |= line.state == "pending"
    ledger = read_ledger(f"{text}\n{first} {counts[0]}, skipped {counts[1]}, failed {counts[2]}")
    assert (ledger.lines, ledger.shortened) == ([line], False)
    assert str(line) == text
