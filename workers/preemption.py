"""Ending a running answer from outside, at a token boundary, whatever its call is doing at that moment.

A call either waits for its engine or is handing a message to gRPC. Only the first may be interrupted: cancelling a task that is
inside gRPC would end the call without its last message. So an order is noted, and cancels the wait alone.
"""

import asyncio
from collections.abc import AsyncGenerator

from workers.engine import Delta, EngineFailed


class Preempted(Exception):
    """This answer shall end here, so that it can be continued elsewhere."""


class Running:
    """One answer on its way out."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self._order = asyncio.Event()
        self._waiting: asyncio.Task[object] | None = None

    def preempt(self) -> None:
        if not self._order.is_set():
            self._order.set()
            if self._waiting is not None:
                self._waiting.cancel()

    async def uninterrupted(self, deltas: AsyncGenerator[Delta, None]) -> Delta:
        """The engine's next delta. Raises Preempted if the order came before it, EngineFailed if the stream just ends."""
        if self._order.is_set():
            raise Preempted
        task = self._waiting = asyncio.current_task()
        try:
            return await anext(deltas)
        except StopAsyncIteration as fault:
            raise EngineFailed("the engine's stream ended without a reason") from fault
        except asyncio.CancelledError as cancelled:
            # The caller may have hung up in the same moment: then that counts, not the order.
            if task is not None and self._order.is_set() and task.uncancel() == 0:
                raise Preempted from cancelled
            raise
        finally:
            self._waiting = None


class Preemptions:
    """Who runs now, by request id. An id may run twice for a moment, when a router comes back before its old call is gone."""

    def __init__(self) -> None:
        self._running: dict[str, list[Running]] = {}

    def enter(self, request_id: str) -> Running:
        running = Running(request_id)
        self._running.setdefault(request_id, []).append(running)
        return running

    def leave(self, running: Running) -> None:
        same = self._running[running.request_id]
        same.remove(running)
        if not same:
            del self._running[running.request_id]

    def preempt(self, request_id: str) -> bool:
        """Orders the end of these answers; False when there are none."""
        found = self._running.get(request_id, [])
        for running in list(found):
            running.preempt()
        return bool(found)

    def preempt_all(self) -> None:
        for request_id in list(self._running):
            self.preempt(request_id)
