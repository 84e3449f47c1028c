"""The prefix memory against a naive one, and its bounds."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.picking.prefix_index import ENDS, PrefixIndex, blocks_within, bytes_of, cached_share, chain
from router.snapshot import Fleet, Pool
from tests.fleets import fleet_of, pool_of

POOLS = (pool_of("a", 0, 3), pool_of("b", 3, 4), pool_of("c", 4, 7))
FLEET = fleet_of(POOLS)


class Naive:
    """The same memory, told in the plainest way: a list of blocks, oldest first, each with a set of replicas."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.blocks: list[tuple[int, set[str]]] = []

    def holders(self, link: int) -> set[str]:
        return next((holders for known, holders in self.blocks if known == link), set())

    def matched(self, links: Sequence[int], replica_id: str) -> int:
        return next((at for at, link in enumerate(links) if replica_id not in self.holders(link)), len(links))

    def remember(self, links: Sequence[int], replica_id: str) -> None:
        for link in reversed(links):
            holders = self.holders(link) | {replica_id}
            self.blocks = [block for block in self.blocks if block[0] != link] + [(link, holders)]
        self.blocks = self.blocks[-self.capacity :]

    def drop(self, links: Sequence[int], replica_id: str) -> None:
        left = [(known, holders - {replica_id} if known in links else holders) for known, holders in self.blocks]
        self.blocks = [block for block in left if block[1]]


# Few letters and short prompts, so that prompts share beginnings.
prompts = st.lists(st.sampled_from("xyz"), min_size=0, max_size=4).map(
    lambda parts: "".join(part * 256 for part in parts).encode()
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["remember", "correct", "forget"]), prompts, st.sampled_from(FLEET.replica_ids), st.integers(0, 4)
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(steps, prompts, st.integers(4, 12))
def test_it_agrees_with_a_naive_memory(history: list[tuple[str, bytes, str, int]], prompt: bytes, capacity: int) -> None:
    index, naive = PrefixIndex(capacity), Naive(capacity)
    for step, data, replica_id, blocks in history:
        links = chain(data, "")
        if step == "remember":
            index.remember(links, replica_id)
            naive.remember(links, replica_id)
        elif step == "correct":
            index.correct(links, replica_id, blocks)
            naive.drop(links[blocks:], replica_id)
        else:
            index.forget(replica_id)
            naive.drop([link for link, _ in naive.blocks], replica_id)
            # Its blocks leave the real index later; capacity is not what this step is about.
            naive.capacity = capacity = 10**6
            index._capacity_blocks = capacity
    links = chain(prompt, "")
    expected = [naive.matched(links, replica_id) for replica_id in FLEET.replica_ids]
    for at, pool in enumerate(POOLS):
        assert index.matched(links, FLEET, pool).tolist() == expected[pool.rows]
        assert index.deepest(links, FLEET)[at] == max(expected[pool.rows])


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 6))
def test_it_never_says_what_a_boundless_memory_would_not(history: list[tuple[str, bytes, str, int]], capacity: int) -> None:
    """Forgetting under a small capacity: slots are given out again while old blocks are still there."""
    index, naive = PrefixIndex(capacity), Naive(10**6)
    for step, data, replica_id, blocks in history * 3:
        links = chain(data, "")
        if step == "remember":
            index.remember(links, replica_id)
            naive.remember(links, replica_id)
        elif step == "correct":
            index.correct(links, replica_id, blocks)
            naive.drop(links[blocks:], replica_id)
        else:
            index.forget(replica_id)
            naive.drop([link for link, _ in naive.blocks], replica_id)
        assert 0 <= len(index) <= capacity
        for row, each in enumerate(FLEET.replica_ids):
            pool = next(pool for pool in POOLS if pool.start <= row < pool.stop)
            assert index.matched(links, FLEET, pool)[row - pool.start] <= naive.matched(links, each)


def test_a_longer_conversation_keeps_its_beginning() -> None:
    text = bytes(random.Random(1).randbytes(5000))
    assert chain(text, "s")[: len(chain(text[:3000], "s"))] == chain(text[:3000], "s")
    assert chain(text[:2000] + b"!" + text[2001:], "s")[7:] != chain(text, "s")[7:]


def test_salts_share_nothing() -> None:
    text = b"t" * 3000
    assert not set(chain(text, "tenant one")) & set(chain(text, "tenant two"))


@pytest.mark.parametrize(
    ("size", "blocks"), [(0, 0), (1, 1), (255, 1), (256, 1), (511, 1), (512, 2), (4096, 16), (5119, 16), (5120, 17)]
)
def test_blocks_of_a_prompt(size: int, blocks: int) -> None:
    assert len(chain(b"x" * size, "")) == blocks


def test_blocks_grow_with_depth_and_end() -> None:
    widths = [end - start for start, end in zip((0, *ENDS), ENDS, strict=False)]
    assert widths == sorted(widths)
    assert max(width / end for width, end in zip(widths[16:], ENDS[16:], strict=True)) <= 0.2
    assert len(chain(bytes(1_000_000), "")) == len(ENDS) == 100


@pytest.mark.parametrize("blocks", [0, 1, 15, 16, 17, 44, 100])
def test_bytes_and_blocks_agree(blocks: int) -> None:
    assert blocks_within(bytes_of(blocks)) == blocks
    assert cached_share(blocks, 262_144) == pytest.approx(bytes_of(blocks) / 262_144)
    assert cached_share(blocks, 0) == 0.0


def test_short_prompts_are_wholly_cached() -> None:
    assert cached_share(1, 40) == 1.0


def matched(index: PrefixIndex, links: tuple[int, ...], fleet: Fleet, pool: Pool) -> list[int]:
    counts = index.matched(links, fleet, pool)
    assert counts.dtype == np.int32
    return counts.tolist()


def test_correct_keeps_the_blocks_that_are_there() -> None:
    index, links = PrefixIndex(), chain(b"x" * 2048, "")
    index.remember(links, "a-0")
    index.remember(links, "a-2")
    index.correct(links, "a-2", 3)
    assert matched(index, links, FLEET, POOLS[0]) == [8, 0, 3]
    index.correct(links, "nobody", 0)
    assert matched(index, links, FLEET, POOLS[0]) == [8, 0, 3]


def test_capacity_drops_the_oldest_leaf_first() -> None:
    index = PrefixIndex(capacity_blocks=10)
    old, new = chain(b"o" * 1536, ""), chain(b"n" * 1536, "")
    index.remember(old, "a-0")
    index.remember(new, "a-1")
    assert len(index) == 10
    assert matched(index, old, FLEET, POOLS[0]) == [4, 0, 0]
    assert matched(index, new, FLEET, POOLS[0]) == [0, 6, 0]


def test_a_replaced_replica_starts_empty_and_learns_again() -> None:
    index, links = PrefixIndex(), chain(b"x" * 1024, "")
    for replica_id in ("a-0", "a-1"):
        index.remember(links, replica_id)
    index.forget("a-0")
    assert matched(index, links, FLEET, POOLS[0]) == [0, 4, 0]
    index.remember(links[:2], "a-0")
    assert matched(index, links, FLEET, POOLS[0]) == [2, 4, 0]


def test_many_restarts_do_not_grow_the_masks() -> None:
    index, links = PrefixIndex(), chain(b"x" * 1024, "")
    index.remember(chain(b"never again", ""), "a-0")
    for _ in range(1000):
        for replica_id in FLEET.replica_ids:
            index.forget(replica_id)
            index.remember(links, replica_id)
        index.forget("a-1")
        assert matched(index, links, FLEET, POOLS[0])[1] == 0
        assert max(index._holders.values()).bit_length() <= 2 * len(FLEET.replica_ids) + 1025
    for replica_id in ("a-0", "a-2"):
        index.remember(links, replica_id)
    assert matched(index, links, FLEET, POOLS[0]) == [4, 0, 4]


def test_a_forgotten_slot_is_given_out_again_when_the_memory_has_turned_over() -> None:
    index, links = PrefixIndex(capacity_blocks=8), chain(b"x" * 1024, "")
    index.remember(links, "a-0")
    for at in range(500):
        index.forget("a-0")
        index.remember(chain(f"{at:04}".encode() * 256, ""), "a-1")
        index.remember(links, "a-0")
        assert matched(index, links, FLEET, POOLS[0]) == [4, 0, 0]
    assert index._next_slot < 20
    assert len(index) == 8


def test_rows_may_move_between_topologies() -> None:
    index, links = PrefixIndex(), chain(b"x" * 1024, "")
    index.matched(links, FLEET, POOLS[0])
    index.remember(links, "a-2")
    moved = fleet_of((pool_of("a", 0, 4),), version=2, ids=("new", "a-2", "a-0", "c-1"))
    assert matched(index, links, moved, moved.pools[0]) == [0, 4, 0, 0]
    assert matched(index, links, FLEET, POOLS[0]) == [0, 0, 4]


def test_an_empty_prompt_and_an_empty_pool() -> None:
    empty = fleet_of((pool_of("a", 0, 0),))
    index = PrefixIndex()
    assert matched(index, (), FLEET, POOLS[0]) == [0, 0, 0]
    assert matched(index, chain(b"x", ""), empty, empty.pools[0]) == []
    assert index.deepest(chain(b"x", ""), empty) == (0,)


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity_blocks"):
        PrefixIndex(0)
