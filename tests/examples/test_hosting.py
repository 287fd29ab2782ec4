"""The host of the demo, where the system refuses what it would like to do."""

from pathlib import Path

import hosting


def test_a_copy_stands_in_for_a_link_that_windows_refuses(tmp_path, monkeypatch):
    pack = tmp_path / "pack"
    (pack / "nodes").mkdir(parents=True)
    (pack / "nodes" / "__init__.py").touch()
    (pack / ".venv").mkdir()
    monkeypatch.setattr(hosting, "ROOT", pack)

    def refuse(*_args, **_options):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    hosting.Server(tmp_path, tmp_path / "run")._arguments()
    (copy,) = (tmp_path / "run" / "custom_nodes").iterdir()
    assert [path.name for path in copy.iterdir()] == ["nodes"]
    assert (copy / "nodes" / "__init__.py").is_file()
