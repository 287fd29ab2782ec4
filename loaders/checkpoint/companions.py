"""Checks the files beside the weights: tokenizer, chat template, picture settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import IncompleteError
from .architecture import Architecture, VisionShape
from .config import read_json

# What downloaders leave beside a file that they have not finished.
PARTIAL_ENDINGS = (".incomplete", ".part", ".partial", ".crdownload", ".aria2", ".download", ".tmp")
# Where the hub libraries keep them.
PARTIAL_FOLDERS = (".cache/huggingface/download", "._____temp")
# Hidden size, layers and whether there are experts, to what the official names say.
OFFICIAL_SIZES = {
    (2048, 28, False): "2B",
    (2560, 36, False): "4B",
    (4096, 36, False): "8B",
    (5120, 64, False): "32B",
    (2048, 48, True): "30B-A3B",
    (4096, 94, True): "235B-A22B",
}
PICTURES = "<|image_pad|>"

Configs = Mapping[str, Mapping[str, Any]]


def check_companions(folder: Path, configs: Configs, architecture: Architecture) -> None:
    """Everything that the processor needs is there and belongs to this model.

    Raises:
        LoadError: naming the missing file.
    """
    has_words = (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()
    if not (folder / "tokenizer.json").is_file() and not has_words:
        raise _lacks(folder, "tokenizer.json", architecture)
    if "tokenizer_config.json" not in configs:
        raise _lacks(folder, "tokenizer_config.json", architecture)
    if not {"preprocessor_config.json", "processor_config.json"} & configs.keys():
        raise _lacks(folder, "preprocessor_config.json", architecture)
    inline = any(
        configs.get(name, {}).get("chat_template")
        for name in ("tokenizer_config.json", "processor_config.json", "chat_template.json")
    )
    if not inline and not (folder / "chat_template.jinja").is_file():
        raise _lacks(folder, "chat_template.jinja (or chat_template.json)", architecture)
    check_pictures(folder, configs, architecture.vision)
    _check_token_ids(folder, configs, architecture.text.vocabulary)
    _check_tokenizer(folder, configs["config.json"], architecture.text.vocabulary)


def _check_token_ids(folder: Path, configs: Configs, vocabulary: int) -> None:
    """Every token that the configs name is one of the vocabulary: each is looked up in it."""
    config = configs["config.json"]
    places = [("config.json", config), ("config.json", config["text_config"])]
    places.append(("generation_config.json", configs.get("generation_config.json", {})))
    for name, place in places:
        for key, value in place.items():
            if not key.endswith("_token_id"):
                continue
            ids = value if isinstance(value, list) else [] if value is None else [value]
            if wrong := [n for n in ids if type(n) is not int or not -1 <= n < vocabulary]:
                raise IncompleteError(
                    f"{folder / name} has {key} {str(wrong[0])[:40]}, but the vocabulary has "
                    f"{vocabulary:,} tokens.",
                    "Download the file again.",
                )


def _check_tokenizer(folder: Path, config: Mapping[str, Any], vocabulary: int) -> None:
    """The tokenizer's picture token is the one that the model looks for, and none is too many."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    tokenizer = read_json(path)
    added = tokenizer.get("added_tokens")
    if "model" not in tokenizer or not isinstance(added, list):
        raise IncompleteError(f"{path} is not a tokenizer.", "Download the file again.")
    ids = {str(t.get("content")): t.get("id") for t in added if isinstance(t, dict)}
    model = tokenizer["model"]
    words = model.get("vocab") if isinstance(model, dict) else None
    known = [*ids.values(), *(words.values() if isinstance(words, dict) else ())]
    most = max((n for n in known if isinstance(n, int)), default=0)
    if most >= vocabulary:
        raise IncompleteError(
            f"{path} knows the token {most}, but the model has only {vocabulary:,}.",
            "Download the tokenizer files of this checkpoint again.",
        )
    if ids.get(PICTURES) != config.get("image_token_id"):
        raise IncompleteError(
            f"{path} is of another model: its {PICTURES} is token {ids.get(PICTURES)}, but "
            f"config.json says {config.get('image_token_id')}.",
            "Download the tokenizer files of this checkpoint again.",
        )


def refuse_half_download(folder: Path, needed: list[Path]) -> None:
    """A downloader's own mark beside a needed file means that its bytes are not all there.

    aria2 reserves the whole size at once, so that the size alone says nothing.

    Raises:
        LoadError: naming the file.
    """
    for path in needed:
        if path.with_name(path.name + ".aria2").exists():
            raise IncompleteError(
                f"{path} is still being downloaded ({path.name}.aria2 lies beside it).",
                "Let the download finish, or remove both files and start again.",
            )


def half_downloads(folder: Path) -> list[str]:
    """Names of unfinished files that a downloader left in a checkpoint folder."""
    places = [folder, *(folder / name for name in PARTIAL_FOLDERS)]
    if folder.parent.name == "snapshots":  # in Hugging Face's cache, where all files are links
        places.append(folder.parent.parent / "blobs")
    found: list[str] = []
    for place in places:
        try:
            names = sorted(path.name for path in place.iterdir() if path.is_file())
        except OSError:  # no such folder: nothing was left in it
            continue
        in_temp = place.name == "._____temp"
        found += [name for name in names if in_temp or name.endswith(PARTIAL_ENDINGS)]
    return found


def dangling_links(folder: Path) -> list[str]:
    """Names in a checkpoint folder that are links to nothing, as a cleaned-up cache leaves them."""
    try:
        return sorted(p.name for p in folder.iterdir() if p.is_symlink() and not p.exists())
    except OSError:  # no such folder: no links
        return []


def _lacks(folder: Path, name: str, architecture: Architecture) -> IncompleteError:
    """A fine-tune is often published without these files; the official ones are the same."""
    text = architecture.text
    size = OFFICIAL_SIZES.get((text.hidden, text.layers, bool(text.sparse_layers)))
    source = "the checkpoint's page"
    if size is not None:
        source = f"Qwen/Qwen3-VL-{size}-Instruct, the official checkpoint of this size"
        source += ", or from its Thinking edition if yours is one"
    return IncompleteError(f"{folder} has no {name}.", f"Put there the file from {source}.")


# File to the part of it that is about pictures; transformers 5 writes all into one.
PLACES = (
    ("preprocessor_config.json", None),
    ("video_preprocessor_config.json", None),
    ("processor_config.json", "image_processor"),
    ("processor_config.json", "video_processor"),
)
MOST_PIXELS = 1 << 40


def check_pictures(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], vision: VisionShape
) -> None:
    """The sizes are those of the vision tower, the edges are some, the colours three.

    Raises:
        IncompleteError: naming the file and the setting.
    """
    for name, part in PLACES:
        settings: Any = configs.get(name, {})
        settings = settings if part is None else settings.get(part, {})
        if reason := _why_wrong(settings, vision):
            raise IncompleteError(f"{folder / name}: {reason}.", "Download this file again.")


def _why_wrong(settings: Any, vision: VisionShape) -> str | None:
    if not isinstance(settings, dict):
        return "it is no object"
    sizes = {
        "patch_size": vision.patch,
        "temporal_patch_size": vision.temporal_patch,
        "merge_size": vision.merge,
    }
    for key, right in sizes.items():
        if settings.get(key, right) != right:
            return f"{key} is {str(settings[key])[:40]}, but the vision tower's is {right}"
    for key in ("image_mean", "image_std"):
        if not _is_color(settings.get(key), zero=key == "image_mean"):
            return f"{key} is {str(settings[key])[:40]}, not three numbers"
    size = settings.get("size")
    return None if size is None else _why_no_size(size)


def _is_color(value: Any, zero: bool) -> bool:
    if value is None:
        return True
    numbers = isinstance(value, list) and all(type(n) in (int, float) for n in value)
    return numbers and len(value) == 3 and all(0 <= n < 1e6 and (zero or n) for n in value)


def _why_no_size(size: Any) -> str | None:
    edges = [size.get(edge) for edge in ("shortest_edge", "longest_edge")] if (
        isinstance(size, dict)
    ) else []  # fmt: skip
    numbers = [n for n in edges if type(n) is int and 0 < n <= MOST_PIXELS]
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        return (
            f"size is {str(size)[:60]}, not the fewest and most pixels as shortest_edge and "
            "longest_edge"
        )
    return None
