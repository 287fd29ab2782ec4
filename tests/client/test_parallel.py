"""Several things at a time, and no more of them than that."""

import asyncio

import pytest
from caption_client.parallel import WORKERS, in_parallel


def test_everything_is_done_a_few_at_a_time():
    running, most, done = 0, 0, []

    async def work(item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    asyncio.run(in_parallel(work, range(50)))
    assert (sorted(done), most) == ([*range(50)], WORKERS)


def test_the_first_error_ends_all_of_it():
    done = []

    async def work(item):
        if item == 1:
            raise ValueError(item)
        await asyncio.sleep(0.005)
        done.append(item)

    async def go():
        with pytest.raises(ValueError, match="1"):
            await in_parallel(work, range(50))
        await asyncio.sleep(0.02)

    asyncio.run(go())
    assert done == []
