"""ComfyUI's folders: where models, adapters and the user's files lie, and what nodes may use."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ...utils.roots.allowed_folders import AllowedFolders, Root
from .owner_settings import EXAMPLE_ROOTS, owner_settings

# Where packs keep Qwen3-VL; the first is ours, and downloads go into its Qwen-VL folder.
MODEL_FOLDER_KINDS = ("LLM", "text_encoders", "prompt_generator", "llm", "VLM", "diffusers")


def model_roots() -> list[Path]:
    """Every existing folder in which ComfyUI may keep language models, ours first."""
    return [root for root in _folders(MODEL_FOLDER_KINDS) if _is_there(root)]


def adapter_roots() -> list[Path]:
    """Every existing folder in which adapters may lie."""
    return [root for root in _folders(("loras", *MODEL_FOLDER_KINDS)) if _is_there(root)]


def _is_there(folder: Path) -> bool:
    """Whether a folder can be looked into; a locked or lost drive is no error in a menu."""
    try:
        return folder.is_dir()
    except OSError:
        return False


def _folders(kinds: tuple[str, ...]) -> list[Path]:
    import folder_paths

    models = Path(folder_paths.models_dir)
    found: dict[Path, None] = {}
    for kind in kinds:
        if kind in folder_paths.folder_names_and_paths:  # extra_model_paths.yaml adds to these
            found |= {Path(p): None for p in folder_paths.get_folder_paths(kind)}
        found[models / kind] = None
    return list(found)


def download_folder() -> Path:
    """Where a checkpoint that is not there yet belongs."""
    import folder_paths

    return Path(folder_paths.models_dir) / "LLM" / "Qwen-VL"


def tokenizer_folder() -> Path:
    """The vocabulary that ComfyUI's Qwen3-VL text encoders use: beside its code, which no
    `--base-directory` moves.
    """
    code = importlib.util.find_spec("comfy.sd1_clip")
    root = Path(code.origin).parent if code and code.origin else Path()
    return root / "text_encoders" / "qwen25_tokenizer"


def user_folder() -> Path:
    """Where ComfyUI keeps what belongs to its user; workflows and the web do not write here."""
    import folder_paths

    return Path(folder_paths.get_user_directory())


def allowed_folders() -> AllowedFolders:
    """Where nodes may read and write: ComfyUI's input, output and temp, then the owner's list,
    then the pack's examples.
    """
    import folder_paths

    owner = owner_settings()
    own = (
        Root("input", Path(folder_paths.get_input_directory()), writable=True),
        Root("output", Path(folder_paths.get_output_directory()), writable=True),
        Root("temp", Path(folder_paths.get_temp_directory()), writable=True),
    )
    return AllowedFolders((*own, *owner.folders, *EXAMPLE_ROOTS), owner.problem)
