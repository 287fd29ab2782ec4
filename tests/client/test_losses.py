"""The client when the server goes away, talks nonsense, or somebody stops the client."""

import asyncio
import json
import os
import signal

import caption_folder
import pytest
from caption_client import prompts, server
from caption_client.command_line import options

STAGES = ("upload", "prompt", "queue", "history", "view", "ws", "caption")


def captions_in(folder):
    return {path.name for path in folder.glob("*.txt")}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", ["drop", "drop after", "502", "restart"])
def test_a_server_that_goes_away_at_any_stage_and_comes_back(call, folder, comfyui, stage, fault):
    if stage == "caption" and fault != "restart":
        fault = "restart"
    comfyui.faults[stage] = [None, fault] if stage in ("upload", "view", "caption") else [fault]
    code, out, _ = call("--folder", folder)
    assert (code, out.splitlines()[-1]) == (0, "written 2, skipped 0, failed 0")
    assert captions_in(folder) == {"a.txt", "b 图.txt"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_does_not_come_back(call, folder, comfyui, stage, tmp_path):
    comfyui.faults[stage] = ["gone"]
    place = tmp_path / "report.json"
    code, out, err = call("--folder", folder, "--folder", tmp_path, "--wait", 0, "--json", place)
    assert code == 3
    assert "written 0, skipped 0, failed 2" in out or stage == "view"
    assert "ComfyUI was gone for 0 s" in err
    assert f"{tmp_path}: not begun" in err
    said = json.loads(place.read_text())
    assert (said["exit_code"], said["folders"][1]["error"]) == (3, "not begun")


@pytest.mark.parametrize("fault", ["drop", "gone", "garbage", "deep", "list", "502"])
def test_an_address_that_is_no_comfyui_is_said_at_once(call, folder, comfyui, fault):
    comfyui.faults["object_info"] = [fault] * 3  # a broken connection is tried twice at once
    code, out, err = call("--folder", folder, "--wait", 1000)
    assert code == 3
    assert "cannot be reached" in err
    assert comfyui.calls["upload"] == 0


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("upload", "is no ComfyUI's"),
        ("prompt", "is no ComfyUI's"),
        ("queue", "is no ComfyUI's"),
        ("history", "is no ComfyUI's"),
    ],
)
@pytest.mark.parametrize("fault", ["garbage", "deep", "list", "500"])
def test_an_answer_that_is_none(call, folder, comfyui, stage, said, fault):
    comfyui.faults[stage] = [fault] * 99
    code, out, err = call("--folder", folder)
    assert code == 1
    problems = {"upload": "the server did not take it", "prompt": "refused the workflow: a trace"}
    assert said in err + out or problems.get(stage, "no") in err + out


@pytest.mark.parametrize(
    "entry",
    [
        {}, {"status": None}, {"status": {"messages": [1]}}, {"status": {"messages": [["a"]]}},
        {"status": {"messages": []}}, {"status": {"messages": []}, "outputs": {"2": {}}},
        {"status": {"messages": []}, "outputs": {"2": {"text": 5}}}, "text", 5, [],
        {"status": {"messages": [["execution_error", None]]}},
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_read(call, comfyui, entry, monkeypatch):
    async def history(request):
        return server_json({request.match_info["id"]: entry})

    from aiohttp.web import json_response as server_json

    monkeypatch.setattr(comfyui, "_get_history", history)
    code, _, err = call("--on-server", "x")
    assert code == 1
    assert "history is unreadable" in err


@pytest.mark.parametrize(
    "text", ["{", "[1]", "5", "{}", '{"type": "progress"}', '{"type": 1, "data": []}', "[" * 99999]
)
def test_nonsense_on_the_websocket_is_passed_over(call, folder, comfyui, text):
    comfyui.events = [text]
    assert call("--folder", folder)[0] == 0


@pytest.mark.parametrize("value", ["x", None, [], float("nan")])
def test_nonsense_on_the_bar_is_passed_over(comfyui, value):
    progress = prompts.Progress("2")
    progress.event("progress", {"node": "2", "value": value, "max": 5})
    progress.event("progress", {"node": "2", "max": 5, "value": 3})
    assert progress.left == 2


def test_without_a_websocket_the_queue_is_asked(call, folder, comfyui):
    comfyui.faults["ws"] = ["500"] * 999
    assert call("--folder", folder)[0] == 0


def test_an_answer_that_is_lost_does_not_queue_twice(call, folder, comfyui):
    comfyui.faults["prompt"] = ["drop after"]
    assert call("--folder", folder)[0] == 0
    assert (len(comfyui.prompts), comfyui.calls["prompt"]) == (1, 1)


def test_a_restart_in_the_middle_makes_no_caption_twice(call, folder, comfyui):
    comfyui.faults["caption"] = [None, "restart"]
    code, out, err = call("--folder", folder)
    assert (code, len(comfyui.prompts)) == (0, 2)
    assert comfyui.calls["caption"] == 3  # the second one was begun twice
    assert "queued again: the server was started again" in err


def test_retries_are_counted_anew_when_captions_were_made(call, folder, comfyui):
    for number in range(8):
        (folder / f"{number}.png").write_bytes(b"0")
    comfyui.waits_for_socket = True
    comfyui.faults["caption"] = [None, "restart"] * 8
    code, out, _ = call("--folder", folder, "--retries", 1)
    assert (code, len(comfyui.prompts)) == (0, 9)
    assert out.endswith("written 10, skipped 0, failed 0\n")


def test_a_picture_that_ends_the_server_each_time_does_not_go_on_for_ever(call, folder, comfyui):
    comfyui.faults["caption"] = [None, *["restart"] * 99]
    code, out, err = call("--folder", folder)
    assert code == 1
    assert len(comfyui.prompts) in (3, 4)  # whether the first one's progress was heard of
    assert out.endswith("written 1, skipped 0, failed 1\n")


def test_a_picture_that_always_breaks_the_connection_is_a_line(call, folder, comfyui):
    comfyui.faults["upload"] = ["drop"] * 99
    code, out, _ = call("--folder", folder)
    assert code == 1
    assert out.count("the connection broke 5 times") == 2


def test_a_prompt_that_somebody_took_out_is_not_queued_again(call, comfyui, monkeypatch):
    async def nothing(prompt_id):
        comfyui.queue.pop(prompt_id)

    monkeypatch.setattr(comfyui, "_run", nothing)
    code, _, err = call("--on-server", "x")
    assert (code, len(comfyui.prompts)) == (1, 1)
    assert "taken out of the server's queue" in err


def test_a_prompt_that_somebody_interrupted_is_not_queued_again(call, folder, comfyui):
    comfyui.hold = True

    def interrupt():
        if comfyui.calls["caption"] == 1:
            comfyui._stopped = True

    comfyui.on_caption = interrupt
    code, out, err = call("--folder", folder)
    assert (code, len(comfyui.prompts)) == (1, 1)
    assert "was interrupted on the server" in err
    assert out.endswith("written 1, skipped 0, failed 1\n")


@pytest.fixture
def stopped(comfyui, folder, monkeypatch, capsys):
    """Runs the client and sends it a signal at a stage."""

    def run(number, stage, *arguments):
        async def go():
            async with comfyui.running() as url:
                task = asyncio.ensure_future(caption_folder.main(
                    options("", ["--server", url, "--folder", str(folder), *arguments])
                ))  # fmt: skip
                while comfyui.calls[stage] < 2 and not task.done():
                    await asyncio.sleep(0.002)
                os.kill(os.getpid(), number)
                return await task

        monkeypatch.setattr(prompts, "FIRST_POLL_SECONDS", 0.02)
        monkeypatch.setattr(server, "FIRST_PAUSE_SECONDS", 0.01)
        code = asyncio.run(go())
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends the process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_prompt_and_fetches_what_is_finished(stopped, folder, comfyui, number):
    comfyui.hold = True
    before = signal.getsignal(number)
    code, out, err = stopped(number, "caption")
    assert code == 130
    assert captions_in(folder) == {"a.txt"} or captions_in(folder) == {"b 图.txt"}
    assert out.endswith("written 1, skipped 0, failed 1\n")
    assert ": interrupted" in err
    assert comfyui.calls["interrupt"] >= 1
    assert not comfyui.queue
    assert signal.getsignal(number) is before


@pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends the process there")
def test_a_signal_while_uploading_queues_nothing(stopped, folder, comfyui, tmp_path):
    for number in range(200):
        (folder / f"{number}.png").write_bytes(b"0")
    place = tmp_path / "report.json"
    code, out, _ = stopped(signal.SIGINT, "upload", "--json", str(place))
    assert (code, comfyui.prompts) == (130, [])
    assert out.endswith("written 0, skipped 0, failed 202\n")
    assert json.loads(place.read_text())["exit_code"] == 130


@pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends the process there")
def test_a_signal_does_not_wait_for_a_server_that_is_gone(stopped, folder, comfyui):
    comfyui.faults["caption"] = [None, "gone"]
    code, out, _ = stopped(signal.SIGINT, "caption")
    assert code == 130
    assert out.endswith("written 0, skipped 0, failed 2\n")
