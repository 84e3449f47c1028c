"""The block pool against a slow, obvious model of it, and the promises that the engine relies on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engines.simulated.kv import KvPool, block_hash

BLOCK = 4


def stored(pool: KvPool, tokens: list[int], salt: str = "") -> list[int]:
    """Does what a request does: takes what is cached, computes the rest, names the full blocks."""
    blocks = pool.hold_prefix(tokens, salt)
    parent = pool.seed(salt)
    for at in range(-(-len(tokens) // BLOCK)):
        if at >= len(blocks):
            block = pool.take()
            assert block is not None
            blocks.append(block)
        part = tokens[at * BLOCK : (at + 1) * BLOCK]
        if len(part) == BLOCK:
            parent = block_hash(parent, part)
            pool.name(blocks[at], parent)
    return blocks


def cached(pool: KvPool, tokens: list[int], salt: str = "") -> int:
    held = pool.hold_prefix(tokens, salt)
    pool.drop(held)
    return len(held)


def test_a_prefix_is_shared_while_it_runs_and_after_it_ended() -> None:
    pool = KvPool(16, BLOCK)
    tokens = list(range(13))
    blocks = stored(pool, tokens)
    assert cached(pool, tokens) == 3
    pool.drop(blocks)
    assert cached(pool, tokens) == 3
    assert pool.used == 0.0


def test_at_least_one_token_is_left_to_compute() -> None:
    pool = KvPool(16, BLOCK)
    pool.drop(stored(pool, list(range(12))))
    assert cached(pool, list(range(12))) == 2


def test_salts_share_nothing() -> None:
    pool = KvPool(16, BLOCK)
    pool.drop(stored(pool, list(range(12)), "tenant a"))
    assert cached(pool, list(range(13)), "tenant b") == 0


def test_a_block_counts_with_all_that_came_before_it() -> None:
    pool = KvPool(16, BLOCK)
    pool.drop(stored(pool, list(range(12))))
    assert cached(pool, [99, *range(1, 13)]) == 0
    assert cached(pool, [*range(4), 99, *range(5, 13)]) == 1


def test_without_caching_nothing_is_found() -> None:
    pool = KvPool(16, BLOCK, prefix_caching=False)
    pool.drop(stored(pool, list(range(12))))
    assert cached(pool, list(range(13))) == 0


def test_the_least_recently_used_goes_first_and_tails_before_heads() -> None:
    pool = KvPool(6, BLOCK)
    first, second = [*range(8)], [*range(100, 108)]
    pool.drop(stored(pool, first))
    pool.drop(stored(pool, second))
    cached(pool, [*first, 0])  # used again: now the second is the older one
    taken = [pool.take() for _ in range(3)]  # two that were never used, then one that was
    assert None not in taken
    assert (cached(pool, [*first, 0]), cached(pool, [*second, 0])) == (2, 1)


def test_nothing_is_taken_from_those_that_run() -> None:
    pool = KvPool(3, BLOCK)
    stored(pool, list(range(12)))
    assert pool.take() is None
    assert pool.used == 1.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(1, 12)), max_size=40))
def test_blocks_are_never_lost_nor_shared_by_mistake(orders: list[tuple[bool, int, int]]) -> None:
    pool = KvPool(8, BLOCK)
    running: list[list[int]] = []
    for enter, prompt, length in orders:
        if enter and pool.free_blocks >= 3:
            tokens = [prompt] * length
            running.append(stored(pool, tokens))
        elif running:
            pool.drop(running.pop(0))
        held = {block for blocks in running for block in blocks}
        assert pool.free_blocks == 8 - len(held)
        assert pool.used == pytest.approx(len(held) / 8)
    for blocks in running:
        pool.drop(blocks)
    assert pool.free_blocks == 8
