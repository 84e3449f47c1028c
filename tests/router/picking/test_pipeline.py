"""The pipeline as a whole: who is taken, why, and why nobody."""

from random import Random

import numpy as np
import pytest

from router.errors import NoReplica, Rejected
from router.picking.pickers import Best
from router.picking.pipeline import Ask, Part, Pick, Pipeline
from router.picking.plugin import Candidates
from router.picking.registry import PickingConfig, build_pipeline
from router.snapshot import Flags, Fleet, Floats
from tests.fleets import fleet_of, pool_of

POOLS = (pool_of("other", 0, 2), pool_of("mine", 2, 5))
NOBODY: frozenset[str] = frozenset()


def ask(matched: list[int] | None = None, blocks: int = 8, session: str = "") -> Ask:
    return Ask(tuple(range(blocks)), np.array(matched or [0, 0, 0], dtype=np.int32), session)


def pick(fleet: Fleet, given: Ask | None = None, excluded: frozenset[str] = NOBODY) -> Pick | None:
    return build_pipeline(PickingConfig()).pick(given or ask(), fleet.pools[1], fleet, excluded, Random(1))


def pick_id(fleet: Fleet, given: Ask | None = None, excluded: frozenset[str] = NOBODY) -> str | None:
    took = pick(fleet, given, excluded)
    return took and took.replica_id


@pytest.mark.parametrize(
    ("arrays", "matched", "expected"),
    [
        ({"in_flight": [0, 0, 3, 2, 3]}, [0, 0, 0], "mine-1"),
        ({"running": [0, 0, 3, 2, 3]}, [0, 0, 0], "mine-1"),
        ({"waiting": [0, 0, 1, 1, 0]}, [0, 0, 0], "mine-2"),
        ({"kv_used": [0, 0, 0.9, 0.2, 0.3]}, [0, 0, 0], "mine-1"),
        ({}, [0, 0, 8], "mine-2"),
        ({"in_flight": [0, 0, 0, 0, 4]}, [0, 0, 8], "mine-2"),
        ({"in_flight": [0, 0, 1, 0, 8]}, [0, 0, 8], "mine-1"),
        ({"ready": [True, True, True, True, False]}, [4, 0, 8], "mine-0"),
        ({"in_flight": [0, 0, 70, 64, 1]}, [8, 8, 0], "mine-2"),
        ({"kv_used": [0, 0, np.nan, 0.99, np.nan]}, [0, 0, 0], "mine-1"),
    ],
)
def test_default_policy(arrays: dict[str, list[float]], matched: list[int], expected: str) -> None:
    assert pick_id(fleet_of(POOLS, **arrays), ask(matched)) == expected


def test_the_pick_says_why() -> None:
    took = pick(fleet_of(POOLS, in_flight=[0, 0, 0, 0, 2], ready=[True, True, True, False, True]), ask([0, 0, 6]))
    assert took is not None
    assert (took.row, took.replica_id, took.matched_blocks) == (4, "mine-2", 6)
    assert took.reason == "prefix 6/8 blocks, load 2, score 0.82, of 2"
    assert dict(took.parts) == pytest.approx(
        {"prefix_affinity": 0.75 * 0.75, "session_affinity": 0, "in_flight": 0.8, "short_queue": 1, "kv_free": 1}
    )
    # Weights 2, 2, 2 and 1; the session had nothing to say.
    assert took.score == pytest.approx((2 * 0.5625 + 2 * 0.8 + 2 + 1) / 7)


def test_a_session_stays_where_it_was() -> None:
    fleet = fleet_of(POOLS)
    homes = {pick_id(fleet, ask(session="s")) for _ in range(20)}
    assert len(homes) == 1
    assert len({pick_id(fleet, ask(session=f"s{at}")) for at in range(30)}) == 3


def test_excluded_replicas_are_left_out() -> None:
    assert pick_id(fleet_of(POOLS), ask([8, 0, 4]), frozenset({"mine-0"})) == "mine-2"


@pytest.mark.parametrize(
    ("arrays", "excluded", "kind", "text"),
    [
        ({"ready": [True, True, False, False, False]}, NOBODY, NoReplica, "pool mine: all 3 replicas are not ready"),
        ({}, frozenset({"mine-0", "mine-1", "mine-2"}), NoReplica, "pool mine: all 3 replicas are known to have failed"),
        ({"in_flight": [0, 0, 64, 64, 64]}, NOBODY, Rejected, "pool mine: all 3 replicas are full"),
        (
            {"in_flight": [0, 0, 0, 64, 64], "ready": [True, True, False, True, True]},
            NOBODY,
            Rejected,
            "pool mine: the other 2 of 3 replicas are full",
        ),
    ],
)
def test_nobody_and_why(arrays: dict[str, list[float]], excluded: frozenset[str], kind: type[Exception], text: str) -> None:
    fleet, pipeline = fleet_of(POOLS, **arrays), build_pipeline(PickingConfig())
    assert pipeline.pick(ask(), POOLS[1], fleet, excluded, Random(1)) is None
    refusal = pipeline.refusal(ask(), POOLS[1], fleet, excluded)
    assert type(refusal) is kind
    assert text in refusal.message
    assert refusal.retryable
    assert refusal.retry_after_s == 1.0


def test_an_empty_pool() -> None:
    empty = pool_of("empty", 5, 5)
    fleet, pipeline = fleet_of((*POOLS, empty)), build_pipeline(PickingConfig())
    nothing = Ask((), np.zeros(0, dtype=np.int32))
    assert pipeline.pick(nothing, empty, fleet, NOBODY, Random(1)) is None
    assert "no replicas" in pipeline.refusal(nothing, empty, fleet, NOBODY).message


class Wild:
    """A plug-in with a bug."""

    def score(self, rows: Candidates, eligible: Flags) -> Floats | None:
        return np.array([np.nan, 7.0, -3.0])


def test_scores_are_clamped() -> None:
    pipeline = Pipeline([], [Part("wild", 1.0, Wild())], Best())
    took = pipeline.pick(ask(), POOLS[1], fleet_of(POOLS), NOBODY, Random(1))
    assert took is not None
    assert (took.replica_id, took.score) == ("mine-1", 1.0)


def test_no_scorers_is_random() -> None:
    config = PickingConfig.model_validate({"scorers": []})
    pipeline, rng = build_pipeline(config), Random(1)
    fleet = fleet_of(POOLS)
    took = [pipeline.pick(ask(), POOLS[1], fleet, NOBODY, rng) for _ in range(40)]
    assert {each.replica_id for each in took if each} == {"mine-0", "mine-1", "mine-2"}


def test_the_snapshot_is_not_touched() -> None:
    """Arrays are read-only, so that a write would raise."""
    fleet = fleet_of(POOLS, ready=[True, True, True, False, True])
    assert not fleet.ready.flags.writeable
    assert pick_id(fleet, ask([8, 8, 8], session="s")) in ("mine-0", "mine-2")
