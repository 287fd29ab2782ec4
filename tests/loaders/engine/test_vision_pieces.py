"""A large picture is looked at in pieces where nothing is fused, so that an interrupt is seen."""

import pytest
import torch
from qwen3vl_nodes.loaders.engine.model import vision_attention
from qwen3vl_nodes.loaders.engine.model.vision_attention import PictureAttention

CPU = torch.device("cpu")


class StopError(Exception):
    pass


def attended(qkv, lengths, tick=lambda: None):
    attend = PictureAttention(CPU, torch.float32, 2, 8)
    return attend(qkv, attend.plan(lengths), lengths, tick)


@pytest.fixture
def qkv():
    return torch.randn(150, 3, 2, 8, generator=torch.Generator().manual_seed(0))


def test_the_pieces_make_the_same_whole(qkv, monkeypatch):
    whole = attended(qkv, [100, 50])
    monkeypatch.setattr(vision_attention, "ROWS_AT_ONCE", 16)
    ticks = []
    pieces = attended(qkv, [100, 50], lambda: ticks.append(1))
    assert torch.allclose(whole, pieces, atol=1e-6)
    assert len(ticks) == 7 + 4  # pieces never go across pictures


def test_an_interrupt_comes_between_two_pieces(qkv, monkeypatch):
    monkeypatch.setattr(vision_attention, "ROWS_AT_ONCE", 16)
    left = [3]

    def tick():
        left[0] -= 1
        if not left[0]:
            raise StopError

    with pytest.raises(StopError):
        attended(qkv, [150], tick)
