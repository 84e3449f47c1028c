"""The shared record: there and back, deltas that count once, and nothing taken of what is damaged."""

import struct
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choosing.learning import codec
from router.choosing.learning.codec import Delta, RecordRefused, Shared, applied, at, decode, encode, nothing_shared
from router.choosing.learning.evidence import HALF_LIFE_OUTCOMES, HALF_LIFE_S, Evidence, no_evidence
from router.choosing.learning.learner import Learner
from tests.router.choosing.learning.given import a_context

ONE, TWO = b"1" * 16, b"2" * 16


def learnt(*pools: str, count: int = 5, score: float = 1.0) -> Evidence:
    learner = Learner()
    for pool in pools:
        for domain in range(count):
            learner.observe(pool, a_context(domain), 0.5, score)
    return learner.evidence()


def a_record() -> Shared:
    return Shared(learnt("small", "größer", ""), 0, ((ONE, 7, 100.0), (TWO, 1, 50.5)), 123.25)


def test_there_and_back() -> None:
    before = a_record()
    after = decode(encode(before))
    assert (after.level, after.writers, after.at_s, after.evidence.pools) == (
        before.level,
        before.writers,
        before.at_s,
        before.evidence.pools,
    )
    for name in ("weight", "moments", "products"):
        assert (getattr(after.evidence, name) == getattr(before.evidence, name)).all()
    assert decode(encode(nothing_shared(1.0))).evidence.pools == ()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_record_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    whole = encode(a_record())
    kind = data.draw(st.sampled_from(["flip", "cut", "grow", "noise"]))
    if kind == "flip":
        where = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:where] + bytes([whole[where] ^ data.draw(st.integers(1, 255))]) + whole[where + 1 :]
    elif kind == "cut":
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    elif kind == "grow":
        damaged = whole + data.draw(st.binary(min_size=1, max_size=50))
    else:
        damaged = data.draw(st.binary(max_size=400))
    with pytest.raises(RecordRefused):
        decode(damaged)


def signed(content: bytes) -> bytes:
    return content + blake2b(content, digest_size=16).digest()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_well_signed_lie_is_refused_or_harmless(data: st.DataObject) -> None:
    """Somebody who knows the format writes nonsense: it is refused, or it is sums that outcomes could come to."""
    content = bytearray(encode(a_record())[:-16])
    where = data.draw(st.integers(4, len(content) - 8))
    content[where : where + 8] = struct.pack("<d", data.draw(st.floats(allow_nan=True, allow_infinity=True)))
    try:
        taken = decode(signed(bytes(content)))
    except RecordRefused:
        return
    learner = Learner()
    learner.adopt(taken.evidence)
    belief = learner.belief(("small",), np.array([0.5]), np.array([0.1]), a_context())
    assert 0.0 <= belief.mean[0] <= 1.0
    assert 0.0 < belief.std[0] < 1.0


@pytest.mark.parametrize(
    ("number", "why"), [(float("nan"), "beyond"), (1e9, "beyond"), (-5.0, "beyond")], ids=["nan", "huge", "negative weight"]
)
def test_impossible_sums_are_refused(number: float, why: str) -> None:
    content = encode(Shared(learnt("a")))[:-16]
    start = codec._HEADER.size + 2 + 1
    with pytest.raises(RecordRefused, match=why):
        decode(signed(content[:start] + struct.pack("<d", number) + content[start + 8 :]))


def test_moments_that_are_none_are_refused() -> None:
    evidence = learnt("a")
    evidence.moments[0, 1, 1] = -evidence.weight[0]
    with pytest.raises(RecordRefused, match="moments"):
        decode(encode(Shared(evidence)))


def test_another_width_is_another_version() -> None:
    content = bytearray(encode(a_record())[:-16])
    struct.pack_into("<H", content, 4, 999)
    with pytest.raises(RecordRefused, match="another version"):
        decode(signed(bytes(content)))


def test_deltas_of_two_routers_add_up_and_each_counts_once() -> None:
    first, second = learnt("a", "b"), learnt("b", "c")
    record = nothing_shared(0.0)
    for delta in (Delta(ONE, 1, first), Delta(ONE, 1, first), Delta(TWO, 1, second), Delta(TWO, 1, second)):
        record = applied(decode(encode(record)), delta, 0.0)
    weight = dict(zip(record.evidence.pools, record.evidence.weight, strict=True))
    once = first.weight[0]
    assert weight["a"] == pytest.approx(once)
    assert weight["c"] == pytest.approx(once)
    again = once + once * 2.0 ** (-5 / HALF_LIFE_OUTCOMES)  # five outcomes came after the first ones
    assert weight["b"] == pytest.approx(again)
    later = applied(record, Delta(ONE, 2, first), 0.0)
    assert later.evidence.weight[0] == pytest.approx(again)


def test_time_fades_the_record() -> None:
    record = applied(nothing_shared(0.0), Delta(ONE, 1, learnt("a")), 0.0)
    assert at(record, HALF_LIFE_S).evidence.weight[0] == pytest.approx(record.evidence.weight[0] / 2)
    assert at(record, -5.0).evidence.weight[0] == record.evidence.weight[0]


def test_writers_of_yesterday_are_left_out() -> None:
    record = applied(nothing_shared(0.0), Delta(ONE, 1, learnt("a")), 0.0)
    later = applied(record, Delta(TWO, 1, learnt("a")), codec.WRITERS_KEPT_S + 1)
    assert [writer for writer, *_ in later.writers] == [TWO]


def test_the_furthest_step_back_holds_for_all_and_ends_learning() -> None:
    record = applied(nothing_shared(0.0), Delta(ONE, 1, learnt("a")), 0.0)
    record = applied(record, Delta(TWO, 1, None, codec.DROPPED_LEARNING), 1.0)
    record = applied(record, Delta(ONE, 2, learnt("a"), 0), 2.0)
    assert record.level == codec.DROPPED_LEARNING
    assert record.evidence.pools == no_evidence().pools


def test_a_pool_that_was_forgotten_by_one_is_forgotten_by_all() -> None:
    record = applied(nothing_shared(0.0), Delta(ONE, 1, learnt("a", "b")), 0.0)
    learner = Learner()
    learner.adopt(record.evidence)
    learner.forget("a")
    outgoing = learner.outgoing()
    record = applied(record, Delta(TWO, 1, outgoing), 0.0)
    assert record.evidence.pools == ("b",)


def test_a_verdict_taken_back_reaches_the_others() -> None:
    writer, reader = Learner(), Learner()
    taught = writer.observe("a", a_context(), 0.5, 0.0)
    record = applied(nothing_shared(0.0), Delta(ONE, 1, writer.outgoing()), 0.0)
    writer.adopt(record.evidence)
    assert writer.outgoing() is None
    writer.take_back(taught)
    wrong = record
    record = applied(record, Delta(ONE, 2, writer.outgoing()), 0.0)
    reader.adopt(wrong.evidence)
    before = reader.expected("a", a_context(), 0.5)
    reader.adopt(record.evidence)
    assert before < reader.expected("a", a_context(), 0.5) <= 0.5


def test_the_largest_record_is_within_the_limit() -> None:
    names = [f"pool-{at:03}" for at in range(codec.MOST_POOLS)]
    one = learnt("a", count=1)
    many = Evidence(
        tuple(names),
        np.repeat(one.weight, len(names)),
        np.repeat(one.moments, len(names), axis=0),
        np.repeat(one.products, len(names), axis=0),
        np.repeat(one.seen, len(names)),
    )
    writers = tuple((bytes([at % 256]) * 16, at, 0.0) for at in range(codec.MOST_WRITERS))
    data = encode(Shared(many, 0, writers))
    assert len(data) <= codec.LARGEST_BYTES
    assert len(decode(data).evidence.pools) == codec.MOST_POOLS
