"""One version, and a package for the registry that has all that the nodes need."""

import fnmatch
import re
import subprocess
import sys

from PIL import Image
from qwen3vl_pack import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
IGNORED = [
    line
    for line in (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def is_ignored(path):
    return any(
        path.startswith(one)
        if one.endswith("/")
        else fnmatch.fnmatch(path, one.replace("**/", "*"))
        for one in IGNORED
    )


def test_the_changelog_begins_with_the_version():
    released = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert released[0] == PROJECT["project"]["version"]


def test_the_registry_gets_what_runs_and_not_what_trains_or_tests():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = listed.stdout.splitlines()
    kept = [path for path in paths if not is_ignored(path)]
    rooms = (
        "nodes/",
        "loaders/",
        "utils/",
        "web/",
        "locales/",
        "examples/images/",
        "examples/api/",
    )
    assert [path for path in paths if path.startswith(rooms) and path not in kept] == []
    assert "examples/demo_model/qwen3-vl-demo/model.safetensors" in kept
    assert not [path for path in kept if path.startswith("tests/")]
    assert not [p for p in kept if p.startswith("examples/demo_model/") and p.endswith(".py")]


def test_icon_and_banner_are_as_the_registry_wants_them():
    with Image.open(ROOT / "assets" / "icon.png") as icon:
        assert icon.width == icon.height <= 400
    with Image.open(ROOT / "assets" / "banner.png") as banner:
        assert banner.width * 9 == banner.height * 21
    addresses = (PROJECT["tool"]["comfy"]["Icon"], PROJECT["tool"]["comfy"]["Banner"])
    repository = PROJECT["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    assert all(f"/{repository}/" in address for address in addresses)


def test_the_readmes_have_the_same_parts_and_their_links_lead_somewhere():
    english, chinese = (ROOT / name for name in ("README.md", "README.zh.md"))
    for readme in (english, chinese):
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme.read_text("utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == []
    keys = [
        re.findall(r"^\| `(\w+)`", readme.read_text("utf-8"), re.MULTILINE)
        for readme in (english, chinese)
    ]
    assert keys[0] == keys[1] and "boxes" in keys[0]
