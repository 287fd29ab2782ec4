"""Engine tests run on a tiny random checkpoint in fp32, without ComfyUI."""

import numpy as np
import pytest
from qwen3vl_nodes.utils.images.picture import Clip, Picture
from tiny_checkpoint import build_model, build_processor


@pytest.fixture(scope="session")
def processor():
    return build_processor()


@pytest.fixture(scope="session")
def model(processor):
    return build_model(processor.tokenizer)


@pytest.fixture
def pictures():
    """Makes seeded noise pictures of a given (width, height)."""
    generator = np.random.default_rng(5)

    def make(width, height):
        return Picture(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))

    return make


@pytest.fixture
def clip():
    frames = np.random.default_rng(6).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    return Clip(frames, source_fps=8.0, indices=(0, 4, 8, 12), total_frames=16)
