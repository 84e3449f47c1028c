"""How the stack stands, as values and as one line for people. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.supervision.supervisor import State

# From here on "failing" is said, not just "starting".
_FAILING_AFTER = 2


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """`ready` of `total` replicas serve. `trouble` is the latest end of the worst replica in words, empty when all is well."""

    name: str
    ready: int
    total: int
    failures: int = 0
    trouble: str = ""


def pool_status(name: str, states: Sequence[State], elsewhere: int) -> PoolStatus:
    """`elsewhere`: replicas that are not ours to start; they count as ready here, the router knows better."""
    ready = elsewhere + sum(state.phase == "ready" for state in states)
    down = [state for state in states if state.phase != "ready" and state.why]
    worst = max(down, key=lambda state: state.failures, default=State())
    return PoolStatus(name, ready, elsewhere + len(states), worst.failures, worst.why)


def status_line(router: State, pools: Sequence[PoolStatus]) -> str:
    return " · ".join([_router_text(router), *(_pool_text(pool) for pool in pools)])


def _router_text(router: State) -> str:
    if router.phase == "ready":
        return "router up"
    return f"router {_down(router.failures, router.why)}"


def _pool_text(pool: PoolStatus) -> str:
    text = f"{pool.name} {pool.ready}/{pool.total}"
    return text if pool.ready == pool.total else f"{text} {_down(pool.failures, pool.trouble)}"


def _down(failures: int, why: str) -> str:
    if not why:
        return "starting"
    return f"FAILING ({failures} times; it {why})" if failures >= _FAILING_AFTER else "restarting"
