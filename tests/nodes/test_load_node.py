"""The loader node's form."""

from qwen3vl_nodes.nodes.load import Qwen3VLLoader


def test_a_newcomer_sees_three_widgets_and_none_has_moved():
    widgets = Qwen3VLLoader.define_schema().inputs
    assert [widget.id for widget in widgets] == [
        "model", "dtype", "attention", "quantization", "device", "engine",
        "context", "keep", "download",
    ]  # fmt: skip
    shown = [widget.id for widget in widgets if not widget.as_dict().get("advanced")]
    assert shown == ["model", "quantization", "download"]
