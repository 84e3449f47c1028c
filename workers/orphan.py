"""Leaving when the parent is gone: a supervisor that was killed must not leave engines behind."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn

_LOOK_EVERY_S = 0.5
_LEAVE_WITHIN_S = 10.0


def leave_at_once(status: int = 1) -> NoReturn:
    """Ends this process and the engine processes it started, with no clean-up."""
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)


def watch_parent(parent: int, on_gone: Callable[[], object]) -> None:
    """Calls `on_gone`, from a thread of its own, once `parent` is no longer our parent; then ends us if we don't end ourselves.

    A thread, because an engine that is loading may block the event loop for minutes; polling, because Linux's own signal of a
    parent's death is sent when the thread that started us ends, which a supervisor may do while it lives.
    """

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_EVERY_S)
        on_gone()
        time.sleep(_LEAVE_WITHIN_S)
        leave_at_once()

    threading.Thread(target=look, name="parent-watch", daemon=True).start()
