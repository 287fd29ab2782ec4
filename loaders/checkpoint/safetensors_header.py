"""Reads the headers of safetensors files and checks them against the bytes that are there."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...utils.errors import IncompleteError, LoadError
from ...utils.files.ordinary import open_ordinary
from .config import read_json, refuse_impostor

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
# The format allows three times as much. The largest official checkpoint, each expert stored by
# itself and with its scales, has 73,000 tensors and would need 11 MB for them all.
MAX_HEADER_BYTES = 32_000_000
MAX_TENSORS = 200_000
ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip

_AGAIN = "Download this file again."


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: `start` is its first byte in the file, `size_bytes` its length."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    size_bytes: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """The tensors of one file, which has exactly the bytes its header promises.

    Raises:
        LoadError: the file is something else, cut off, too long, or inconsistent.
    """
    header, data_start, size = _read_header_json(path)
    if len(header) > MAX_TENSORS:
        raise IncompleteError(f"{path} lists {len(header):,} tensors, too many.", _AGAIN)
    tensors = {
        name: _tensor(path, name, entry, data_start)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    if not tensors:
        raise IncompleteError(f"{path} holds no tensors.", _AGAIN)
    end = data_start
    for tensor in sorted(tensors.values(), key=lambda t: (t.start, t.size_bytes)):
        if tensor.start != end:
            raise IncompleteError(f"The header of {path} leaves gaps or overlaps.", _AGAIN)
        end += tensor.size_bytes
    if size < end:
        raise IncompleteError(
            f"{path} is cut off: {size:,} of {end:,} bytes are there.",
            "Resume or repeat the download of this file.",
        )
    if size > end:
        raise IncompleteError(f"{path} has {size - end:,} bytes more than its header says.", _AGAIN)
    return tensors


def read_metadata(path: Path) -> dict[str, Any]:
    """The words that a file's header holds beside its tensors; none where it has none.

    Raises:
        LoadError: as `read_header`.
    """
    said = _read_header_json(path)[0].get("__metadata__")
    return said if isinstance(said, dict) else {}


def _read_header_json(path: Path) -> tuple[dict[str, Any], int, int]:
    try:
        with open_ordinary(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(512)
            length = int.from_bytes(start[:8], "little")
            refuse_impostor(path, start, size)
            _refuse_other_formats(path, start)
            data_start = 8 + length
            if size < 8 or length > MAX_HEADER_BYTES:
                raise IncompleteError(f"{path} is not a safetensors file.", _AGAIN)
            if size < data_start:
                raise IncompleteError(
                    f"{path} is cut off in its header, at {size:,} bytes.",
                    "Resume or repeat the download of this file.",
                )
            file.seek(8)
            header = json.loads(file.read(length))
    except OSError as error:
        raise LoadError(f"{path} cannot be read ({error.strerror}).", "Check the disk.") from None
    except (ValueError, RecursionError) as error:
        raise IncompleteError(f"The header of {path} is damaged ({error}).", _AGAIN) from None
    if not isinstance(header, dict):
        raise IncompleteError(f"The header of {path} is damaged.", _AGAIN)
    return header, data_start, size


def _refuse_other_formats(path: Path, start: bytes) -> None:
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        raise LoadError(
            f"{path} is a pickle file under another name, which can run code.",
            "Download the checkpoint in safetensors form.",
        )
    if start.startswith(b"GGUF"):
        raise LoadError(f"{path} is a GGUF file.", "Download the checkpoint in safetensors form.")
    # A header's length comes first in a real file; text here is a server's answer.
    if start.startswith((b'{"', b"Entry not found", b"Access ", b"Invalid ", b"Not Found")):
        text = start[:80].decode("utf-8", "replace")
        raise IncompleteError(f"{path} holds a server's message, not weights: {text!r}.", _AGAIN)


def _tensor(path: Path, name: str, entry: Any, data_start: int) -> StoredTensor:
    wrong = IncompleteError(f"The header of {path} describes {name[:120]!r} wrongly.", _AGAIN)
    try:
        dtype, shape = entry["dtype"], entry["shape"]
        begin, end = entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
            raise wrong
        size_bytes = math.prod(shape) * ITEM_BYTES[dtype]
    except (TypeError, KeyError, ValueError):
        raise wrong from None
    if end - begin != size_bytes:
        raise wrong
    return StoredTensor(path, dtype, tuple(shape), data_start + begin, size_bytes)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a checkpoint, from its index where it has one.

    Raises:
        LoadError: no weights in safetensors form, or not all of them.
    """
    single, index = folder / SINGLE_NAME, folder / INDEX_NAME
    if index.is_file():
        names = sorted(set(read_index(index).values()))
        if single.is_file() and names != [SINGLE_NAME]:
            raise IncompleteError(
                f"{folder} has both {SINGLE_NAME} and {INDEX_NAME}, which name different weights.",
                "Remove the one that does not belong there.",
            )
        if missing := [name for name in names if not (folder / name).exists()]:
            raise IncompleteError(
                f"{folder} lacks {len(missing)} of {len(names)} weight files: "
                f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}.",
                "Resume the download; the files that are there will not be fetched again.",
            )
        return [folder / name for name in names]
    if single.is_file():
        return [single]
    raise _no_weights(folder)


def read_index(path: Path) -> dict[str, str]:
    """Tensor name to file name.

    Raises:
        LoadError: no such map, or a file name that leads out of the folder.
    """
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise IncompleteError(f"{path} has no weight_map.", _AGAIN)
    for name in set(map(str, weight_map.values())):
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise IncompleteError(
                f"{path} names {name[:120]!r}, which is no safetensors file of its folder.", _AGAIN
            )
    return {str(tensor): str(file) for tensor, file in weight_map.items()}


def check_index(folder: Path, tensors: dict[str, StoredTensor]) -> None:
    """The index and the files' headers name the same tensors in the same places.

    Raises:
        LoadError: naming the first that differs.
    """
    index = folder / INDEX_NAME
    if not index.is_file():
        return
    weight_map = read_index(index)
    for name, file in weight_map.items():
        if name not in tensors or tensors[name].path.name != file:
            raise IncompleteError(
                f"{index} says that {name} is in {file}, but it is not there.",
                f"Download {file} and the index again: they are not of one version.",
            )
    if extra := sorted(set(tensors) - set(weight_map)):
        raise IncompleteError(
            f"{tensors[extra[0]].path} holds {extra[0]}, which {INDEX_NAME} does not know.",
            "Download the index and this file again: they are not of one version.",
        )


def _no_weights(folder: Path) -> LoadError:
    found = sorted(path.name for path in folder.iterdir() if path.is_file())
    shards = [name for name in found if name.endswith(".safetensors")]
    if len(shards) == 1 and "-of-" not in shards[0]:
        return IncompleteError(
            f"{folder} has {shards[0]}, but no {SINGLE_NAME}.", f"Rename it to {SINGLE_NAME}."
        )
    if shards:
        return IncompleteError(
            f"{folder} has {len(shards)} weight files, but no {INDEX_NAME}.",
            f"Download {INDEX_NAME} from the checkpoint's page.",
        )
    for ending in (".gguf", ".bin", ".pt", ".pth"):
        if any(name.endswith(ending) for name in found):
            return LoadError(
                f"{folder} has weights as {ending} files only.",
                "Download the checkpoint in safetensors form; pickled files can run code.",
            )
    return IncompleteError(
        f"{folder} has no {SINGLE_NAME} and no {INDEX_NAME}.",
        "Download the weights; the folder has only small files.",
    )
