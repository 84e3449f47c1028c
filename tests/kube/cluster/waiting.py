"""Waiting for a condition: tests never sleep for a time that is hoped to be enough."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.05


def eventually(check: Callable[[], T], what: str, within_s: float = 120.0) -> T:
    """The first true value of `check`; an AssertionError or OSError in it means: not yet. Raises AssertionError in the end."""
    give_up_at = time.monotonic() + within_s
    while True:
        last: object = None
        try:
            last = value = check()
            if value:
                return value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"{what}: not within {within_s:.0f} s; last seen: {last!r}")
        time.sleep(_POLL_S)
