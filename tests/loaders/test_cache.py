"""MODEL_CACHE under threads: loaded once, counted, closed at the right moment."""

import threading
import time

import pytest
from qwen3vl_nodes.loaders.model_cache import ModelCache
from qwen3vl_nodes.loaders.settings import LoadSettings
from qwen3vl_nodes.utils.errors import InputError

ONE, OTHER = LoadSettings("one"), LoadSettings("other")


class Model:
    closed = 0

    def close(self):
        self.closed += 1


def test_threads_share_one_load():
    cache, loads, used = ModelCache(), [], []

    def load():
        time.sleep(0.02)  # long enough for every thread to arrive
        loads.append(Model())
        return loads[-1]

    def use():
        with cache.lease(ONE, load) as model:
            used.append(model)

    threads = [threading.Thread(target=use) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and len(used) == 16
    assert loads[0].closed == 0  # kept for the next prompt


def test_a_changed_setting_loads_again_and_closes_the_old():
    cache = ModelCache()
    with cache.lease(ONE, Model) as first:
        pass
    with cache.lease(LoadSettings("one", dtype="fp16"), Model) as second:
        assert first.closed == 1 and second is not first
    with cache.lease(OTHER, Model):
        pass
    assert second.closed == 0  # another model does not push it out
    assert {s.model for s in cache.settings()} == {"one", "other"}


def test_eviction_waits_for_the_last_user():
    cache = ModelCache()
    with cache.lease(ONE, Model) as model:
        with cache.lease(ONE, Model) as same:
            assert same is model
            cache.evict(ONE)
            assert model.closed == 0
        assert model.closed == 0
    assert model.closed == 1
    with cache.lease(ONE, Model) as new:
        assert new is not model


def test_a_failed_load_leaves_nothing_behind():
    cache = ModelCache()

    def fail():
        raise RuntimeError("no weights")

    with pytest.raises(RuntimeError), cache.lease(ONE, fail):
        pass
    assert cache.settings() == ()
    with cache.lease(ONE, Model) as model:
        assert model.closed == 0


def test_an_error_inside_the_block_gives_the_lease_back():
    cache = ModelCache()
    with pytest.raises(ValueError, match="boom"), cache.lease(ONE, Model) as model:
        raise ValueError("boom")
    cache.evict(ONE)
    assert model.closed == 1


def test_clear_closes_everything_once():
    cache = ModelCache()
    models = []
    for settings in (ONE, OTHER):
        with cache.lease(settings, Model) as model:
            models.append(model)
    cache.clear()
    cache.clear()
    assert [m.closed for m in models] == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [{"dtype": "int3"}, {"attention": "xformers"}, {"quantization": "2-bit"}, {"device": "tpu"}],
)
def test_settings_name_what_is_not_a_choice(wrong):
    with pytest.raises(InputError, match=next(iter(wrong.values()))):
        LoadSettings("one", **wrong)
