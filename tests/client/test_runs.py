"""The queue client against a stand-in for ComfyUI: what it sends, writes, prints and returns."""

import json
import subprocess
import sys
from pathlib import Path

import caption_client
import pytest


def texts_in(folder, ending="txt"):
    found = folder.rglob(f"*.{ending}")
    return {
        p.relative_to(folder).as_posix(): p.read_text("utf-8")
        for p in found
        if not p.name.startswith(".")
    }


def test_every_picture_gets_its_caption_beside_it(call, folder):
    code, out, err = call("--folder", folder, "--recursive", "--model", "M", "--preset", "Tags")
    assert (code, err) == (0, "")
    assert out.endswith("written 3, skipped 0, failed 0\n")
    assert texts_in(folder) == {
        "a.txt": "caption of a", "b 图.txt": "caption of b 图", "sub/c.txt": "caption of c",
    }  # fmt: skip


def test_the_settings_reach_the_workflow(call, folder, comfyui):
    call("--folder", folder, "--model", "M", "--preset", "Tags", "--prefix", "sks, ", "--seed", 4)
    assert comfyui.prompts[0]["Qwen3VLLoader"]["model"] == "M"
    inputs = comfyui.inputs
    assert (inputs["preset"], inputs["prefix"], inputs["seed"]) == ("Tags", "sks, ", 4)
    assert (inputs["mode"], inputs["place"]) == ("overwrite own", "in the output folder")
    assert inputs["folder"].startswith("input/caption_folder_client/")
    assert all(f"input/{name}".startswith(inputs["folder"]) for name in comfyui.pictures)


def test_a_widget_of_newer_nodes_is_sent_only_when_it_says_something(call, comfyui, folder):
    call("--folder", folder)
    assert not comfyui.widgets.keys() & comfyui.inputs.keys()
    call(
        "--on-server", "input/pics", "--format", "json", "--more-presets", "Tags",
        "--more-presets", "Style", "--trigger-word", "sks", "--replace", "a => b",
        "--replace", "c =>", "--max-characters", 9, "--include", "*.png", "--exclude", "x/*",
        "--background", "gray", "--mode", "overwrite all", "--allow-overwrite-all", "--dry-run",
        "--place", "in the output folder",
    )  # fmt: skip
    new = {name: comfyui.inputs[name] for name in comfyui.widgets}
    assert new == {
        "format": "json", "more_presets": "Tags\nStyle", "trigger_word": "sks",
        "replace": "a => b\nc =>", "max_characters": 9, "include": "*.png", "exclude": "x/*",
        "background": "gray", "dry_run": True, "allow_overwrite_all": True,
    }  # fmt: skip
    assert comfyui.inputs["mode"] == "overwrite all"
    assert comfyui.inputs["place"] == "in the output folder"


def test_an_older_node_is_told_before_it_ignores_what_it_does_not_know(call, comfyui):
    comfyui.widgets = {}
    code, out, err = call("--on-server", "input/pics", "--dry-run")
    assert (code, out, comfyui.prompts) == (1, "", [])
    assert "has no dry_run. Update the pack" in err


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("pics", "input/pics"),
        ("input/pics", "input/pics"),
        ("sets/cats", "sets/cats"),
        ("photos", "photos"),
        ("input", "input"),
        ("temp", "temp"),
        ("output/x/", "output/x"),
        ("photos\\2024", "photos/2024"),
        ("an image?", "input/an image?"),
    ],
)
def test_the_name_of_a_folder_on_the_server(call, comfyui, said, meant):
    call("--on-server", said)
    assert comfyui.inputs["folder"] == meant


def test_a_menu_in_the_newer_form_of_comfyui(call, comfyui):
    comfyui.menu, comfyui.widgets["folder"] = [], ["COMBO", {"options": ["photos"]}]
    call("--on-server", "photos")
    assert comfyui.inputs["folder"] == "photos"


def test_a_folder_on_the_server_is_neither_sent_nor_fetched(call, comfyui):
    code, out, _ = call("--on-server", "input/cats")
    assert (code, out) == (0, "written there.png\nwritten 1, skipped 0, failed 0\n")
    assert comfyui.inputs["place"] == "beside the picture"
    assert (comfyui.pictures, comfyui.calls["view"]) == ({}, 0)


def test_many_folders_are_a_prompt_each_with_one_total(call, tmp_path, comfyui):
    folders = [tmp_path / name / "pics" for name in ("one", "two")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "same.png").write_bytes(b"0")
        (folder / f"{number}.png").write_bytes(b"0")
    (folders[1] / "broken.png").write_bytes(b"0")
    places = [part for folder in folders for part in ("--folder", folder)]
    code, out, err = call(*places, "--on-server", "x", "--folder", folders[0])
    assert (code, err, len(comfyui.prompts)) == (1, "", 3)
    assert out.splitlines() == [
        f"{folders[0]}:",
        "written 0.png", "written same.png", "written 2, skipped 0, failed 0",
        f"{folders[1]}:",
        "written 1.png", "failed  broken.png: no picture: at all", "written same.png",
        "written 2, skipped 0, failed 1",
        "x:",
        "written there.png", "written 1, skipped 0, failed 0",
        "",
        "total: written 5, skipped 0, failed 1",
    ]  # fmt: skip
    assert all((folder / "same.txt").exists() for folder in folders)


def test_a_folder_that_fails_does_not_stop_the_next(call, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    code, out, err = call("--folder", tmp_path / "empty", "--folder", folder)
    assert code == 1
    assert "empty" in err and "holds no picture" in err
    assert out.endswith("total: written 2, skipped 0, failed 0\n")


def test_other_settings_and_pictures_go_to_another_folder(call, folder, comfyui):
    folders = []
    for seed, content in ((0, None), (0, None), (1, None), (1, b"longer")):
        if content:
            (folder / "a.png").write_bytes(content)
        for caption in folder.glob("*.txt"):
            caption.unlink()
        call("--folder", folder, "--seed", seed)
        folders.append(comfyui.inputs["folder"])
    assert folders[0] == folders[1]
    assert len({*folders}) == 3


def test_what_an_earlier_run_left_on_the_server_is_fetched(call, folder, comfyui):
    """As after a client that was killed, or a disk that was full, in the middle of fetching."""
    call("--folder", folder)
    (folder / "a.txt").unlink()
    code, out, _ = call("--folder", folder)
    assert (code, texts_in(folder)["a.txt"]) == (0, "caption of a")
    assert out == "written a.png\nskipped b 图.JPG: has a caption\nwritten 1, skipped 1, failed 0\n"
    assert len({prompt["Qwen3VLCaptionFolder"]["folder"] for prompt in comfyui.prompts}) == 1
    assert comfyui.calls["upload"] == 3


def test_the_folder_keeps_its_name_where_a_trigger_word_needs_it(call, tmp_path, comfyui):
    folder = tmp_path / "10_sks dog"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"0")
    assert call("--folder", folder, "--trigger-word", "{class}")[0] == 0
    assert comfyui.inputs["folder"].endswith("/10_sks dog")
    assert (folder / "a.txt").exists()


def test_a_second_run_sends_nothing_and_needs_no_server(call, folder, comfyui):
    call("--folder", folder)
    comfyui.calls.clear()
    code, out, _ = call("--folder", folder)
    assert code == 0
    assert out.endswith("written 0, skipped 2, failed 0\n")
    assert not comfyui.calls


def test_a_caption_that_is_there_stays_and_its_picture_at_home(call, folder, comfyui):
    (folder / "a.txt").write_text("mine")
    code, out, _ = call("--folder", folder)
    assert code == 0
    assert "skipped a.png: has a caption\n" in out
    assert out.endswith("written 1, skipped 1, failed 0\n")
    assert texts_in(folder)["a.txt"] == "mine"
    assert not any(name.endswith("a.png") for name in comfyui.pictures)


def test_a_dry_run_here_needs_no_server(call, folder, comfyui):
    (folder / "a.txt").write_text("mine")
    code, out, _ = call("--folder", folder, "--dry-run")
    assert (code, not comfyui.calls) == (0, True)
    assert out == (
        "skipped a.png: has a caption\npending b 图.JPG\nwould write 1, skipped 1, failed 0\n"
    )


def test_a_dry_run_on_the_server(call, comfyui):
    comfyui.ledger = "pending a.png\nfailed  b.png: no\nwould write 1, skipped 0, failed 1"
    code, out, _ = call("--on-server", "x", "--dry-run")
    assert (code, out) == (1, comfyui.ledger + "\n")


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (["--include", "*.PNG"], {"a.png"}),
        (["--include", "*.png; *.jpg"], {"a.png", "b 图.JPG"}),
        (["--include", "*.png", "--include", "b*"], {"a.png", "b 图.JPG"}),
        (["--exclude", "A*"], {"b 图.JPG", "sub/c.webp"}),
        (["--include", "sub/*"], {"sub/c.webp"}),
        (["--include", "*.webp", "--exclude", "sub\\*"], set()),
    ],
)
def test_only_what_is_meant_is_sent(call, folder, comfyui, flags, left):
    call("--folder", folder, "--recursive", *flags)
    below = {name.split("/", 2)[2] for name in comfyui.pictures}
    assert below == left


def test_a_failed_picture_is_a_failed_run(call, folder):
    (folder / "broken.png").write_bytes(b"")
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert "failed  broken.png: no picture: at all\n" in out
    assert out.endswith("written 2, skipped 0, failed 1\n")
    assert "broken.txt" not in texts_in(folder)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("huge.png", "the server takes no file of this size"),
        ("what?.png", "the server cannot store this name"),
        ("a..png", "rename it without"),
        ("a\\b.png", "rename it without"),
        ("blake3:0.png", "rename it without"),
        ("line\nbreak.png", "rename it"),
        ("caf\udce9.png", "rename it"),
    ],
)
def test_a_picture_that_cannot_be_sent_is_a_line(call, folder, name, why):
    try:
        (folder / name).write_bytes(b"0")
    except (OSError, UnicodeError):
        pytest.skip("no such names on this system")
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert any(line.startswith("failed") and why in line for line in out.splitlines())
    assert out.endswith("written 2, skipped 0, failed 1\n")


@pytest.mark.parametrize("name", ["50%25;x", "it's", " lead", "a: b", "猫 é", "a.b", "...", '"q"'])
def test_names_that_travel_well(call, tmp_path, name):
    try:
        (tmp_path / f"x{name}.png").write_bytes(b"0")
    except OSError:
        pytest.skip("no such names on this system")
    if ".." in name:
        return
    code, out, _ = call("--folder", tmp_path)
    assert (code, texts_in(tmp_path)) == (0, {f"x{name}.txt": f"caption of x{name}"})
    assert out.startswith(f"written x{name}.png\n")


def test_a_picture_that_cannot_be_read_is_a_line(call, folder):
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(folder / "nowhere")
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert "failed  a.png: [Errno 2]" in out
    assert out.endswith("written 1, skipped 0, failed 1\n")


def test_a_linked_folder_is_not_passed_over_in_silence(call, folder):
    (folder / "link").symlink_to(folder / "sub", target_is_directory=True)
    code, out, _ = call("--folder", folder, "--recursive")
    assert code == 1
    assert "failed  link/: It is a link" in out


def test_a_caption_that_does_not_come_back_is_a_failure(call, folder, comfyui, monkeypatch):
    monkeypatch.setattr(comfyui, "_caption", lambda *_: ("written", ""))
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert out.count("could not be fetched") == 2
    assert out.endswith("written 0, skipped 0, failed 2\n")


def test_a_refused_workflow_is_said_and_not_tried_again(call, folder, comfyui):
    error = {"message": "Value not in list", "details": "model: 'M' not in []"}
    comfyui.refusal = {
        "error": {"message": "Prompt outputs failed validation"},
        "node_errors": {"1": {"class_type": "Qwen3VLLoader", "errors": [error]}},
    }
    code, out, err = call("--folder", folder)
    assert (code, comfyui.calls["prompt"]) == (1, 1)
    assert out.endswith("written 0, skipped 0, failed 2\n")
    assert "refused the workflow: Prompt outputs failed validation" in err
    assert "Qwen3VLLoader: Value not in list: model: 'M' not in []" in err


@pytest.mark.parametrize("refusal", [[], {}, {"error": None}, {"node_errors": 1}, "no"])
def test_a_refusal_in_any_form_is_said(call, folder, comfyui, refusal):
    comfyui.refusal = refusal or {"odd": []}
    code, _, err = call("--folder", folder)
    assert code == 1
    assert "refused the workflow" in err


def test_a_run_that_ends_in_an_error_brings_home_what_was_finished(call, folder, comfyui):
    comfyui.errors = ["The checkpoint is torn."]
    (folder / "broken.png").write_bytes(b"")
    code, out, err = call("--folder", folder)
    assert (code, len(comfyui.prompts)) == (1, 1)
    assert "The checkpoint is torn." in err
    assert texts_in(folder)["a.txt"] == "caption of a"
    assert "failed  broken.png: not captioned: the run on this folder ended early" in out
    assert out.endswith("written 2, skipped 0, failed 1\n")


@pytest.mark.parametrize(
    ("error", "prompts"),
    [
        ("CUDA is out of memory.", 3),
        ("Connection reset by peer", 3),
        ("HTTPConnectionError", 3),
        ("The model is not on this machine.", 1),
        ("The custom prompt is empty.", 1),
    ],
)
def test_an_error_that_may_pass_is_tried_again(call, comfyui, error, prompts):
    comfyui.errors = [error] * 9
    code, _, err = call("--on-server", "x")
    assert (code, len(comfyui.prompts)) == (1, prompts)
    assert error in err
    comfyui.prompts.clear()
    assert call("--on-server", "x", "--retries", 0)[0] == 1
    assert len(comfyui.prompts) == 1


def test_a_shortened_ledger_counts_what_is_there(call, folder, comfyui):
    comfyui.ledger = "... and 2 lines more\nwritten 2, skipped 0, failed 0"
    code, out, err = call("--folder", folder)
    assert (code, "shortened its ledger" in err) == (0, True)
    assert out == "written a.png\nwritten b 图.JPG\nwritten 2, skipped 0, failed 0\n"
    code, out, err = call("--on-server", "x", "--json", "-")
    said = json.loads(out)["folders"][0]
    assert (said["shortened"], said["counts"]["written"], said["lines"]) == (True, 2, [])
    assert "shortened its ledger" in err


@pytest.mark.parametrize("ledger", ["", "written a.png", "written 1, skipped 0", "x" * 5000])
def test_a_ledger_without_its_closing_line_is_none(call, folder, comfyui, ledger):
    comfyui.ledger = ledger
    code, _, err = call("--folder", folder)
    assert code == 1
    assert "is no ledger" in err
    assert "a.txt" in texts_in(folder)


def test_the_report_says_everything(call, folder, tmp_path, comfyui):
    (folder / "broken.png").write_bytes(b"")
    place = tmp_path / "report.json"
    code, out, _ = call("--folder", folder, "--seed", 3, "--json", place)
    said = json.loads(place.read_text())
    assert (code, said["exit_code"]) == (1, 1)
    [one] = said["folders"]
    assert (one["name"], one["error"], one["settings"]["seed"]) == (str(folder), "", 3)
    assert one["prompt_ids"] == list(comfyui.history)
    assert one["seconds"] > 0
    counts = {"written": 2, "skipped": 0, "failed": 1, "pending": 0}
    assert one["counts"] == said["totals"] == counts
    lines = [(line["state"], line["name"], line["detail"]) for line in one["lines"]]
    assert lines == [
        ("written", "a.png", ""), ("written", "b 图.JPG", ""),
        ("failed", "broken.png", "no picture: at all"),
    ]  # fmt: skip
    assert [path.name for path in tmp_path.glob(".*part")] == []
    _, out, err = call("--folder", folder, "--json", "-")
    assert json.loads(out)["totals"]["skipped"] == 2
    assert "skipped a.png: has a caption" in err


def test_a_report_that_cannot_be_written_is_said(call, folder, tmp_path):
    (tmp_path / "report").mkdir()
    code, out, err = call("--folder", folder, "--json", tmp_path / "report")
    assert (code, "could not be written" in err) == (1, True)
    assert out.endswith("written 2, skipped 0, failed 0\n")


@pytest.mark.parametrize("include", ["caf\u00e9.*", "cafe\u0301.*", "CAF\u00c9.PNG"])
def test_names_match_however_their_accents_are_coded(call, folder, include):
    """As in the node: macOS splits accents, and whoever types the pattern does not."""
    (folder / "cafe\u0301.png").write_bytes(b"x")
    assert call("--folder", folder, "--include", include, "--dry-run")[1].startswith("pending caf")


def test_what_the_client_takes_from_the_pack_wants_no_comfyui(tmp_path):
    """Nor torch, nor numpy: it may run where nothing but Python and aiohttp is."""
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import caption_client.command_line, caption_client.folders
heavy = {"torch", "numpy", "PIL", "comfy", "folder_paths", "transformers"} & set(sys.modules)
assert not heavy, heavy
"""
    command = [sys.executable, "-c", code, str(Path(str(caption_client.__file__)).parents[1])]
    subprocess.run(command, check=True, cwd=tmp_path)
