"""What one router told of the pools' load, as values in range (wire.py brings them there). Fields as in topology.proto."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

MOST_POOLS = 10_000
MOST_REVISIONS = 16  # of one pool: the old, the new, and what is still draining


class RevisionCounts(NamedTuple):
    """Counters of one revision; they only grow within an incarnation. The prefix tokens are the same from every router."""

    requests: int = 0
    errors: int = 0
    prefix_query_tokens: int = 0
    prefix_hit_tokens: int = 0


class PoolReport(NamedTuple):
    """One pool. arrivals, answers, ttft_met and tpot_met only grow within an incarnation; the rest is as of now."""

    arrivals: int = 0
    answers: int = 0
    ttft_met: int = 0
    tpot_met: int = 0
    waiting_here: int = 0
    oldest_wait_s: float = 0.0
    ready: int = 0
    waiting_there: int = 0
    running: int = 0
    slots: int = 0
    kv_used: float = 0.0
    revisions: Mapping[str, RevisionCounts] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Report:
    """One router's report. `incarnation` changes when its process is replaced."""

    router_id: str
    incarnation: str
    topology_version: int = 0
    pools: Mapping[str, PoolReport] = field(default_factory=dict)
