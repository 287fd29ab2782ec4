"""FFmpeg through PyAV: asked for where it is used, and its errors in the pack's words."""

from __future__ import annotations

from typing import Any

from ..errors import InputError, LoadError


def pyav() -> Any:
    """The av module.

    Raises:
        LoadError: it is not installed.
    """
    try:
        import av
        import av.error
    except ImportError as error:
        raise LoadError(
            f"Films are read with PyAV, which cannot be imported ({error}).", "pip install av"
        ) from None
    return av


def damaged(name: str, error: Exception) -> InputError:
    """The error for a file that FFmpeg cannot read."""
    why = str(getattr(error, "strerror", "") or error)[:200]
    return InputError(
        f"{name} cannot be read as a film ({why}).",
        "It may be cut off or damaged: copy it again, or save it with another program.",
    )
