"""Scorers, by tables and by what must hold for any fleet."""

import numpy as np
import pytest

from router.picking.plugin import Ask, Candidates, Scorer
from router.picking.prefix_index import chain
from router.picking.scorers import InFlight, KvFree, PrefixAffinity, SessionAffinity, ShortQueue

BLOCKS = chain(b"p" * 2048, "")


def rows(
    size: int = 3,
    *,
    load: list[float] | None = None,
    waiting: list[int] | None = None,
    kv_used: list[float] | None = None,
    matched: list[int] | None = None,
    links: tuple[int, ...] = BLOCKS,
    session: str = "",
) -> Candidates:
    ids = tuple(f"r{at}" for at in range(size))
    return Candidates(
        ask=Ask(links, np.array(matched or [0] * size, dtype=np.int32), session),
        replica_ids=ids,
        identity=np.random.default_rng(3).integers(1, 2**63, size=64, dtype=np.uint64)[:size],
        excluded=frozenset(),
        ready=np.ones(size, dtype=np.bool_),
        load=np.array(load or [0.0] * size),
        waiting=np.array(waiting or [0] * size, dtype=np.int32),
        max_running=np.full(size, 32, dtype=np.int32),
        kv_used=np.array(kv_used or [0.0] * size),
        age_s=np.zeros(size),
    )


def scores(each: Scorer, given: Candidates, eligible: list[bool] | None = None) -> list[float] | None:
    flags = np.array(eligible or [True] * len(given.load))
    said = each.score(given, flags)
    return None if said is None else [pytest.approx(score) for score in said.tolist()]


@pytest.mark.parametrize(
    ("each", "given", "expected"),
    [
        (InFlight(), rows(load=[0, 8, 24]), [1.0, 0.5, 0.25]),
        (InFlight(half_at=2.0), rows(load=[0, 2, 6]), [1.0, 0.5, 0.25]),
        (ShortQueue(), rows(waiting=[0, 2, 6]), [1.0, 0.5, 0.25]),
        (KvFree(), rows(kv_used=[0.0, 0.25, 1.0]), [1.0, 0.75, 0.0]),
        (PrefixAffinity(), rows(), None),
        (PrefixAffinity(), rows(matched=[8, 6, 3]), [1.0, 0.75, 0.0]),
        (PrefixAffinity(min_share=0.0), rows(matched=[8, 4, 2]), [1.0, 0.5, 0.25]),
        (PrefixAffinity(min_share=0.0), rows(matched=[8, 4, 1]), [1.0, 0.5, 0.0]),
        (PrefixAffinity(), rows(matched=[8, 8, 8], load=[3, 7, 11]), [1.0, 0.5, 0.0]),
        (PrefixAffinity(), rows(matched=[1, 1, 1], links=chain(b"hello", "")), [0.0, 0.0, 0.0]),
        (SessionAffinity(), rows(), None),
    ],
)
def test_scorer(each: Scorer, given: Candidates, expected: list[float] | None) -> None:
    assert scores(each, given) == expected


def test_affinity_fades_against_the_least_loaded_that_may_serve() -> None:
    given = rows(matched=[8, 8, 8], load=[0, 4, 8])
    assert scores(PrefixAffinity(), given, [False, True, True])[1:] == [1.0, 0.5]


def test_share_is_of_bytes_not_of_blocks() -> None:
    links = chain(bytes(40_960), "")
    assert scores(PrefixAffinity(min_share=0.0), rows(matched=[len(links), 16, 0], links=links)) == [1.0, 0.1, 0.0]


def owner(session: str, size: int, eligible: list[bool] | None = None) -> int:
    said = SessionAffinity().score(rows(size, session=session), np.array(eligible or [True] * size))
    assert said is not None
    assert sorted(said.tolist())[-2:] == [0.0, 1.0]
    return int(said.argmax())


def test_a_new_replica_takes_only_its_share_of_the_sessions() -> None:
    sessions = [f"s{at}" for at in range(2000)]
    before, after = [owner(s, 8) for s in sessions], [owner(s, 9) for s in sessions]
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert all(new == 8 for _, new in moved)
    assert 2000 / 9 * 0.8 < len(moved) < 2000 / 9 * 1.2
    assert min(np.bincount(before, minlength=8)) > 2000 / 8 * 0.8


def test_a_session_goes_elsewhere_only_while_its_replica_is_out() -> None:
    home = owner("mine", 8)
    elsewhere = owner("mine", 8, [row != home for row in range(8)])
    assert elsewhere != home
    assert owner("mine", 8) == home
