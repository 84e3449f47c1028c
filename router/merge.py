"""Several async generators as one: the choices of a request with n > 1, in the order their pieces arrive."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


def merged(sources: Sequence[AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
    """Yields from all sources until all end. The first error ends the others; so does closing this generator.

    One item is in hand per source at most: a slow reader holds every source back.
    """
    # Almost every request has one: no task, no queue, and no generator more for every token to pass.
    return sources[0] if len(sources) == 1 else _merged(sources)


async def _merged(sources: Sequence[AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
    queue: asyncio.Queue[Item | None] = asyncio.Queue(maxsize=1)

    async def pump(source: AsyncGenerator[Item, None]) -> None:
        async with aclosing(source):
            async for item in source:
                await queue.put(item)
        await queue.put(None)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    try:
        running = len(tasks)
        while running:
            found = await _next(queue, tasks)
            if found is None:
                running -= 1
            else:
                yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(queue: "asyncio.Queue[Item | None]", tasks: Sequence["asyncio.Task[None]"]) -> Item | None:
    """The next item, or the error of a source that failed."""
    getting = asyncio.ensure_future(queue.get())
    try:
        while not getting.done():
            alive = [task for task in tasks if not task.done()]
            await asyncio.wait([getting, *alive], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and not task.cancelled() and (fault := task.exception()) is not None:
                    raise fault
        return getting.result()
    finally:
        getting.cancel()
