"""Which replicas may serve a request at all."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from router.picking.plugin import Candidates
from router.snapshot import Flags


@dataclass(frozen=True)
class Ready:
    """Ready, reachable, not draining, circuit not open."""

    why: ClassVar[str] = "not ready"
    is_overload: ClassVar[bool] = False

    def keep(self, rows: Candidates) -> Flags | None:
        return rows.ready


@dataclass(frozen=True)
class NotExcluded:
    """Not one that already failed this request."""

    why: ClassVar[str] = "known to have failed this request"
    is_overload: ClassVar[bool] = False

    def keep(self, rows: Candidates) -> Flags | None:
        if not rows.excluded:
            return None
        return np.array([replica_id not in rows.excluded for replica_id in rows.replica_ids], dtype=np.bool_)


@dataclass(frozen=True)
class Fresh:
    """Heard of within the last `max_age_s` seconds.

    Not among the defaults: the store already takes a replica for not ready after `stale_after_s`. This is for a pool that
    should be stricter, and must be longer than the pause between an idle worker's reports.
    """

    why: ClassVar[str] = "silent for too long"
    is_overload: ClassVar[bool] = False

    max_age_s: Annotated[float, Field(gt=0)] = 5.0

    def keep(self, rows: Candidates) -> Flags | None:
        return rows.age_s <= self.max_age_s


@dataclass(frozen=True)
class HasRoom:
    """Holds fewer requests than `times_max_running` times what it runs at once. A replica that reports no limit has room."""

    why: ClassVar[str] = "full"
    is_overload: ClassVar[bool] = True

    times_max_running: Annotated[float, Field(gt=0)] = 2.0

    def keep(self, rows: Candidates) -> Flags | None:
        room: Flags = (rows.load < rows.max_running * self.times_max_running) | (rows.max_running == 0)
        return room
