"""Devices that have no class of error for it run out of memory too."""

import torch
from fast_kit import ask, tiny
from qwen3vl_nodes.loaders.engine.reference import ReferenceEngine
from qwen3vl_nodes.loaders.host.out_of_memory import is_out_of_memory
from qwen3vl_nodes.utils.errors import GenerationError


def test_memory_that_no_class_of_error_tells_of():
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: not enough memory: you tried"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_the_reference_engine_recovers_on_a_mac(monkeypatch):
    model, sizes = tiny().model, []
    generate = model.generate

    def short_of_memory(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 1 or inputs["input_ids"].shape[1] > 60:
            raise RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", short_of_memory)
    engine = ReferenceEngine(model, tiny().processor)
    outcomes = dict(engine.generate([ask("a", tokens=2), ask("b" * 90, tokens=2)]))
    assert sizes == [2, 1, 1] and outcomes[0].tokens == 2
    assert isinstance(outcomes[1], GenerationError) and "Out of memory" in str(outcomes[1])
