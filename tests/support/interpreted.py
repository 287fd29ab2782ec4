"""Runs code in a process of its own, in which Triton's kernels are interpreted on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BEGIN = f"""
import sys
sys.path[:0] = {[str(TESTS), str(TESTS / "support"), str(TESTS / "loaders" / "engine")]!r}
from qwen3vl_pack import load_pack
load_pack()
import interpreted
interpreted.allow_loops()
"""


def run_interpreted(code: str, seconds: float = 120) -> str:
    """What the code prints; it may import tests of the engine and what supports them.

    Raises:
        AssertionError: it failed; its last words.
        subprocess.TimeoutExpired: it took longer.
    """
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def allow_loops() -> None:
    """Newer numpy refuses the one-element arrays that Triton's interpreter loops over."""
    import triton.runtime.interpreter as interpreter

    patch = interpreter._patch_lang_tensor

    def patched(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched
