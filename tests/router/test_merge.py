import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from router.merge import merged


class Source:
    """Yields its items; remembers whether it was closed."""

    def __init__(self, items: list[object]) -> None:
        self.items, self.closed, self.given = items, False, 0

    async def run(self) -> AsyncGenerator[object, None]:
        try:
            for item in self.items:
                await asyncio.sleep(0)
                if isinstance(item, Exception):
                    raise item
                self.given += 1
                yield item
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [1, 3])
async def test_all_items_of_all_sources_in_their_own_order(count: int) -> None:
    sources = [Source([(i, k) for k in range(10)]) for i in range(count)]
    seen = [item async for item in merged([source.run() for source in sources])]
    for i in range(count):
        assert [k for (j, k) in seen if j == i] == list(range(10))
    assert all(source.closed for source in sources)


@pytest.mark.parametrize("count", [1, 3])
async def test_the_first_error_closes_the_others(count: int) -> None:
    sources = [Source([1, ValueError("no")]), *(Source(list(range(1000))) for _ in range(count - 1))]
    with pytest.raises(ValueError, match="no"):
        [item async for item in merged([source.run() for source in sources])]
    assert all(source.closed for source in sources)


@pytest.mark.parametrize("count", [1, 3])
async def test_closing_it_closes_every_source(count: int) -> None:
    sources = [Source(list(range(1000))) for _ in range(count)]
    async with aclosing(merged([source.run() for source in sources])) as items:
        async for _ in items:
            break
    assert all(source.closed for source in sources)


async def test_a_slow_reader_holds_the_sources_back() -> None:
    sources = [Source(list(range(1000))) for _ in range(2)]
    async with aclosing(merged([source.run() for source in sources])) as items:
        await anext(items)
        for _ in range(50):
            await asyncio.sleep(0)
        assert sum(source.given for source in sources) < 10
