"""The examples and the answers in the nodes, as a browser shows them, in both renderers."""

import json
import subprocess

import hosting
import pytest
from core_nodes import core_has
from PIL import Image
from real_browser import CHROMIUM, COMFYUI, IN_A_BROWSER, SCRIPTS
from tiny_checkpoint import write_checkpoint

SCRIPT = SCRIPTS / "answers.js"
EXAMPLES = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in sorted((hosting.ROOT / "examples").glob("*.json"))
}


pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What the browser saw: {renderer: {opened, before, after, hostile}}."""
    folder = tmp_path_factory.mktemp("browser")
    write_checkpoint(folder / "models" / "Tiny")
    pics = folder / "input" / "pics"
    pics.mkdir(parents=True)
    for n in range(3):
        Image.new("RGB", (64, 64), (80 * n, 0, 0)).save(pics / f"p{n}.png")
    (pics / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64), (0, 80, 0)).save(folder / "input" / "example.png")
    with hosting.Server(COMFYUI, folder, models=folder / "models") as server:
        command = ["node", str(SCRIPT), server.url, CHROMIUM, str(folder), *EXAMPLES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"folder": folder / "output" / "captions" / "input" / "pics"}


by_renderer = pytest.mark.parametrize("renderer", ["canvas", "vue"])


@by_renderer
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_opens_as_it_was_saved(seen, renderer, name):
    opened, graph = seen[renderer]["opened"][name], EXAMPLES[name]
    nodes = {str(node["id"]): node for node in graph["nodes"]}
    sam3 = [node["type"] for node in graph["nodes"] if node["type"] == "SAM3_Detect"]
    assert opened["unknown"] == ([] if core_has("SAM3_Detect") else sam3)
    assert opened["values"] == {key: node["widgets_values"] for key, node in nodes.items()}
    places = {key: [*node["pos"], *node["size"]] for key, node in nodes.items()}
    if renderer == "vue" and not core_has("SAM3_Detect"):  # older Nodes 2.0 need more height
        higher = {key: max(place[3], opened["places"][key][3]) for key, place in places.items()}
        places = {key: [*place[:3], higher[key]] for key, place in places.items()}
    assert opened["places"] == {key: pytest.approx(place, abs=1) for key, place in places.items()}
    assert sorted(opened["links"]) == sorted(graph["links"])


@by_renderer
def test_the_box_is_there_before_the_first_run(seen, renderer):
    before = seen[renderer]["before"]
    assert before["visible"]
    assert before["shown"] == ["The result appears here after a run."]


@by_renderer
def test_the_ledger_is_shown_after_the_run(seen, renderer):
    after = seen[renderer]["after"]
    text = "\n".join([*after["shown"], after["report"]])
    assert after["visible"]
    counts = {"canvas": "written 3, skipped 0", "vue": "written 0, skipped 3"}[renderer]
    assert text.startswith(f"{counts}, failed 1\n\nfailed  broken.png")  # what matters is first
    if renderer == "canvas":  # with the words that were written
        caption = (seen["folder"] / "p1.txt").read_text()
        assert f"written p1.png\n    {caption}\nwritten p2.png\n" in text


@by_renderer
def test_nothing_of_it_is_saved_and_no_progress_line_stays(seen, renderer):
    before, after = seen[renderer]["before"], seen[renderer]["after"]
    assert after["saved"] == before["saved"]
    assert after["widgets"] == before["widgets"]
    assert after["widgets"][-1] == "qwen3vl_answer"


@by_renderer
def test_an_answer_is_text_and_never_html(seen, renderer):
    hostile = seen[renderer]["hostile"]
    assert hostile["hacked"] is None
    assert hostile["shown"] == [
        "1 / 3", '<img src=x onerror="window.hacked = 1">', "2 / 3", "(no text)", "3 / 3",
        "one\ntwo",
    ]  # fmt: skip
    assert hostile["report"] == "a line"


@by_renderer
def test_a_text_grows_in_the_box_as_text(seen, renderer):
    streamed = seen[renderer]["streamed"]
    assert streamed["begun"] == {"shown": [], "report": ""}  # what was there is gone
    assert streamed["grown"] == {"shown": ["1 / 3", "<img and more"], "report": "5 tokens/s"}
    assert streamed["hacked"] is None


@by_renderer
def test_of_a_long_run_the_newest_are_shown_and_the_line(seen, renderer):
    batch = seen[renderer]["streamed"]["batch"]
    assert batch["shown"] == [part for n in range(4, 12) for part in (f"p{n}", str(n))]
    assert batch["report"] == "11 of 12"


@by_renderer
def test_an_interrupt_and_an_error_are_said_in_the_box(seen, renderer):
    streamed = seen[renderer]["streamed"]
    assert streamed["interrupted"]["report"] == "Stopped, 11 of 12 done."
    assert streamed["interrupted"]["shown"][-1] == "11"  # what is written stays to be read
    # Of a folder it is said how many captions are on the disk, and no picture stays in the node.
    assert streamed["stopped"] == {
        "report": "Stopped, 12 written, 1 failed.", "picture": 0, "previews": [1, 0]
    }  # fmt: skip
    assert streamed["failed"]["shown"] == ["It <b>broke</b>."]


@by_renderer
def test_what_an_earlier_run_left_is_dim_and_leaves_when_the_new_one_fails(seen, renderer):
    streamed = seen[renderer]["streamed"]
    assert streamed["stale"] == [True, False, False, False]
    assert streamed["left"]["shown"] == ["The result appears here after a run."]


@by_renderer
def test_keys_stay_in_the_box_and_copy_says_that_it_did(seen, renderer):
    keys = seen[renderer]["keys"]
    assert "onerror" in keys["selected"]
    assert keys["said"] == "Copied"
    assert keys["lost"] == 0


@by_renderer
def test_the_loader_says_what_is_on_this_disk(seen, renderer):
    here, missing, fetched, small, gone = seen[renderer]["models"]
    assert here.startswith("✓ On this disk, 0.03 GB")
    assert missing.startswith("Not on this disk: 8.9 GB. Set download to")
    memory = "About 8.9 GB of memory for the weights; with quantization 8-bit 5.3, 4-bit 3.7,"
    assert memory in missing
    name = "Qwen3-VL-4B-Instruct"
    assert missing.endswith(f"hf download Qwen/{name} --local-dir models/LLM/Qwen-VL/{name}")
    assert fetched.startswith("Not on this disk: the next run fetches 8.9 GB from ModelScope.")
    assert small.endswith("About 3.1 GB of memory for the weights, with quantization int4.")
    assert gone == "Not in ComfyUI's model folders. Choose another model."


@by_renderer
def test_folder_images_steps_by_count_and_stays_where_all_are_taken(seen, renderer):
    stepped, modes = seen[renderer]["steps"][:5], seen[renderer]["steps"][5:]
    assert stepped == [24, 17, 16, 0, 16]
    assert modes == ["instant-idle", "disabled", "disabled", "change"]


@by_renderer
def test_folder_images_goes_back_to_the_pictures_of_a_prompt_that_failed(seen, renderer):
    assert seen[renderer]["failed"] == [2, 1]


@by_renderer
def test_the_box_takes_what_an_enlarged_node_has_more(seen, renderer):
    assert seen[renderer]["grown"] > 50


@by_renderer
def test_what_is_refused_before_a_run_is_said_in_the_nodes_own_boxes(seen, renderer):
    loader, caption, folder, compare = seen[renderer]["refused"]
    assert loader.startswith(
        "No Qwen3-VL checkpoint called 'Gone' is in ComfyUI's model folders. Put"
    )
    assert caption.split("\n") == [
        "Nothing is linked to model. Link a Qwen3-VL Loader or Server.",
        "Nothing is linked to image. Link an output of the kind IMAGE.",
        'preset has no entry "Gone". Choose another; R looks for new ones.',
        "max_new_tokens is -1, but 0 is the least. Raise it.",
    ]
    assert folder.startswith("'/etc' is not inside an allowed folder: it starts at another place.")
    assert compare.endswith("Nothing is linked to image1. Link an output of the kind IMAGE.")


@by_renderer
def test_what_is_refused_is_chinese_in_a_chinese_interface(seen, renderer):
    loader, caption, folder, compare = seen[renderer]["refusedInChinese"]
    assert loader.startswith("ComfyUI 的模型文件夹中没有名为 'Gone' 的 Qwen3-VL 模型。请")
    assert caption.split("\n") == [
        "“模型”没有连接。请连接 Qwen3-VL 加载器或服务器。",
        "“图像”没有连接。请连接 IMAGE 类型的输出。",
        "“预设”没有“Gone”这一项。请选择其他项；按 R 刷新列表。",
        "“最大新词元数”为 -1，但最小是 0。请调大。",
    ]
    assert folder.startswith("'/etc' 不在允许的文件夹中：它从别处开始。请")
    assert compare.endswith("“image1”没有连接。请连接 IMAGE 类型的输出。")


@by_renderer
def test_errors_and_ledgers_are_chinese_in_a_chinese_interface(seen, renderer):
    assert seen[renderer]["chinese"] == {
        "error": "input/x 是空的。请替换它。",
        # A model's words stay as they are, also where the pack says the same.
        "ledger": "已写 1，跳过 0，失败 1\n\n失败  b.png：b.png 是空的。请替换它。\n"
        "已写  a.png\n    Replace it.",
        "report": "已写 1，跳过 0，失败 1",
    }


@by_renderer
def test_a_caption_is_corrected_in_the_box_of_caption_review(seen, renderer):
    corrected = seen[renderer]["corrected"]
    assert (corrected["first"], corrected["nodes"]) == ("Saved as yours.", 1)
    assert corrected["second"].startswith("The caption of p0.png is another one by now.")
    assert corrected["fields"] == 3  # and they stay, for the words are not lost
    assert (seen["folder"] / "p0.txt").read_text() == "by hand, vue"  # the later of both


@by_renderer
def test_a_line_of_what_was_found_lights_its_box_on_the_picture(seen, renderer):
    assert seen[renderer]["lit"] == ["M5,6h7v8h-7z", "0 0 64 64", 0]
