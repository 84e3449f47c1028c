"""What is counted of each revision, through the store that counts it."""

import pytest

from router.fleet.revisions import RevisionCount
from router.fleet.specs import ReplicaSpec
from router.fleet.store import FleetStore
from tests.router.fleet.given import address_of, pool, report, store


def replica(name: str, revision: str) -> ReplicaSpec:
    return ReplicaSpec(name, address_of(name), revision=revision)


def counts(fleet: FleetStore) -> dict[str, RevisionCount]:
    return fleet.revisions(fleet.pools[0])


def test_requests_and_faults_count_for_the_revision_of_their_replica() -> None:
    fleet = store()
    fleet.apply_topology([pool("small", replica("a", "old"), replica("b", "new"), replica("c", "new"))], [], 1)
    for name in ("a", "b", "b", "c"):
        fleet.assume(name)
        fleet.release(name)
    fleet.failed("b")
    fleet.failed("gone")
    assert counts(fleet) == {"old": RevisionCount(requests=1), "new": RevisionCount(requests=3, errors=1)}


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([(1000, 900)], (0, 0)),  # what was before this router is not its to tell
        ([(1000, 900), (1100, 930), (1100, 930)], (100, 30)),
        ([(1000, 900), (50, 20, "b"), (60, 25, "b")], (60, 25)),  # a new process counts from nothing
        ([(1000, 900), (10, 5)], (0, 0)),  # a counter that falls tells nothing
    ],
)
def test_prefix_hits_are_what_was_added_since_the_first_report(
    reports: list[tuple[int, int] | tuple[int, int, str]], expected: tuple[int, int]
) -> None:
    fleet = store()
    fleet.apply_topology([pool("small", replica("a", "r"))], [], 1)
    for queried, hit, *process in reports:
        said = report(
            incarnation=process[0] if process else "a", prefix_query_tokens_total=queried, prefix_hit_tokens_total=hit
        )
        fleet.apply_report("a", said)
    count = counts(fleet)["r"]
    assert (count.prefix_query_tokens, count.prefix_hit_tokens) == expected


def test_a_revision_that_returns_goes_on_where_it_was() -> None:
    fleet = store()
    for version, revision in enumerate(("one", "two", "one"), start=1):
        fleet.apply_topology([pool("small", replica("a", revision))], [], version)
        fleet.assume("a")
        fleet.release("a")
        assert list(counts(fleet)) == [revision]
    assert counts(fleet)["one"].requests == 2
    fleet.apply_topology([], [], 4)
    fleet.apply_topology([pool("small", replica("a", "one"))], [], 5)
    assert counts(fleet)["one"].requests == 0, "the pool had left"
