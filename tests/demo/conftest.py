"""The demo model's modules are a program, not part of the pack: they are found by path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "demo_model"))
