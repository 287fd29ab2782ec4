"""Pictures on their way: every value arrives, and nothing else of a body is touched."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from qwen3vl_nodes.loaders.servers.wire.parts import DataUri, data_uri, png
from qwen3vl_nodes.loaders.servers.wire.payload import as_json

NOISE = np.random.default_rng(5).integers(0, 256, (96, 64, 3), np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [NOISE, NOISE[:1], NOISE[:, :1], NOISE[::2, ::3], NOISE[:, ::-1], NOISE.transpose(1, 0, 2),
     np.zeros((32, 32, 3), np.uint8), np.full((700, 500, 3), 255, np.uint8)],
    ids=range(8),
)  # fmt: skip
def test_a_png_keeps_every_value(pixels):
    with Image.open(io.BytesIO(png(pixels))) as image:
        image.verify()
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(image), pixels)


def test_a_png_is_little_larger_than_pillows():
    smooth = Image.fromarray(NOISE[:8, :8]).resize((512, 512), Image.Resampling.BICUBIC)
    pixels = np.clip(np.asarray(smooth) + NOISE[0, 0] % 3, 0, 255).astype(np.uint8)

    def pillows():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()

    assert len(png(pixels)) < 1.5 * len(pillows())


def test_a_body_is_what_json_makes_of_it():
    body = {
        "text": 'data:image/png;base64,"\\ \u2028 \ud83d\u0000 é',
        "content": [{"url": data_uri(NOISE, "png")}, {"url": DataUri("data:,")}, [], {}, None],
        "seed": 2**63, "stop": ["\n"], "nested": {"urls": [data_uri(NOISE, "jpeg")] * 3},
    }  # fmt: skip
    assert as_json(body) == json.dumps(body, separators=(",", ":")).encode("ascii")
    assert as_json({}) == b"{}"
