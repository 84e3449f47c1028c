"""Changes from start to end, with pods as a Deployment would have them; only status and objects are kept between steps."""

from dataclasses import replace

import pytest

from controlplane.names import RETRY_ANNOTATION
from controlplane.planning.plan import plan
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import PoolLoad, RevisionLoad, World
from tests.controlplane.planning.worlds import (
    NOW_S,
    PLATFORM,
    after,
    condition,
    kept,
    pods,
    revision,
    settled,
    spec,
    workload,
    world,
)

OLD = spec(replicas=3)
NEW = spec(replicas=3, engine={"kind": "simulated", "args": {"seed": 2}})


def reasons(planned) -> list[str]:
    return [note.reason for note in planned.notes]


def changed(**more) -> World:
    """Old replicas are settled; the new spec has just been written."""
    return replace(settled(OLD, plan), spec=NEW, generation=2, **more)


def begun(**more) -> World:
    """The change has begun: its first plan was carried out."""
    first = changed()
    return after(first, plan(first, PLATFORM), **more)


def test_first_revision_rolls_until_all_replicas_are_ready():
    first = world(OLD)
    made = plan(first, PLATFORM)
    assert made.status.rollout.revision == revision(OLD)
    assert made.status.rollout.stable_revision == ""
    assert workload(made)["replicas"] == 3
    assert workload(made).get("minReadySeconds", 0) == 0  # nothing warm is at stake
    some = after(first, made, pods=pods(OLD, 2))
    assert plan(some, PLATFORM).status.rollout.stable_revision == ""
    every = after(first, made, pods=pods(OLD, 3))
    done = plan(every, PLATFORM)
    assert done.status.rollout.stable_revision == revision(OLD)
    assert reasons(done) == ["RolloutCompleted"]
    assert condition(done.status, "Progressing") == ("False", "Settled")


def test_change_waits_for_warmth_before_old_replicas_go():
    made = plan(changed(), PLATFORM)
    assert workload(made)["minReadySeconds"] == 30
    assert workload(made)["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert reasons(made) == ["RolloutStarted"]
    assert condition(made.status, "Progressing") == ("True", "RollingOut")
    assert made.status.rollout.stable_revision == revision(OLD)


@pytest.mark.parametrize(
    ("ready_for_s", "hits", "waits"),
    [
        (10, 0, 30),  # too young, and cold
        (10, 7900, 30),  # 79 % of what old ones hit; 80 % is asked for
        (10, 8100, 0),  # warm by its hits
        (5, 8100, 30),  # its own requests can't be in the figures yet
        (30, 0, 0),  # as long as it may take
    ],
)
def test_warm_by_hits_or_by_time(ready_for_s, hits, waits):
    load = PoolLoad(
        routers=1,
        revisions={
            revision(OLD): RevisionLoad(60, 100, 0, prefix_query_tokens=20000, prefix_hit_tokens=20000),
            revision(NEW): RevisionLoad(60, 100, 0, prefix_query_tokens=10000, prefix_hit_tokens=hits),
        },
    )
    seen = begun(load=load, pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=NOW_S)), now_s=NOW_S + ready_for_s)
    made = plan(seen, PLATFORM)
    assert workload(made).get("minReadySeconds", 0) == waits
    assert made.status.available_replicas == (3 if waits else 4)


def test_too_few_tokens_do_not_prove_warmth():
    load = PoolLoad(
        routers=1,
        revisions={revision(OLD): RevisionLoad(60, 9, 0, 20000, 10), revision(NEW): RevisionLoad(60, 9, 0, 4095, 4095)},
    )
    seen = begun(load=load, pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=NOW_S)), now_s=NOW_S + 20)
    assert workload(plan(seen, PLATFORM))["minReadySeconds"] == 30


def test_replica_that_starts_next_is_waited_for_again():
    seen = begun(pods=(*pods(OLD, 2), *pods(NEW, 1), *pods(NEW, 1, since_s=None, prefix="next-")))
    assert workload(plan(seen, PLATFORM))["minReadySeconds"] == 30


def test_change_completes_when_old_replicas_are_gone():
    nearly = begun(pods=(*pods(OLD, 1), *pods(NEW, 3)), now_s=NOW_S + 60)
    assert plan(nearly, PLATFORM).status.rollout.stable_revision == revision(OLD)
    leaving = replace(pods(OLD, 1)[0], terminating=True)
    done = plan(begun(pods=(leaving, *pods(NEW, 3)), now_s=NOW_S + 60), PLATFORM)
    assert done.status.rollout.stable_revision == revision(NEW)
    assert reasons(done) == ["RolloutCompleted"]
    assert workload(done).get("minReadySeconds", 0) == 0


def failing(errors: int, requests: int = 200) -> PoolLoad:
    return PoolLoad(
        routers=2,
        revisions={revision(NEW): RevisionLoad(60, requests, errors), revision(OLD): RevisionLoad(60, 2000, 20)},
    )


def test_errors_take_the_change_back():
    seen = begun(load=failing(60), pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=NOW_S)), now_s=NOW_S + 10)
    made = plan(seen, PLATFORM)
    assert reasons(made) == ["RolledBack"]
    assert "ErrorRateRose: 60 of 200 requests failed" in made.notes[0].message
    assert made.status.rollout.failed_revision == revision(NEW)
    assert made.status.rollout.revision == revision(OLD)
    assert workload(made)["template"]["metadata"]["labels"]["headgate.dev/revision"] == revision(OLD)
    assert condition(made.status, "Degraded") == ("True", "RolledBack")
    assert condition(made.status, "Progressing") == ("True", "RollingBack")
    assert condition(made.status, "Available")[0] == "True"


@pytest.mark.parametrize("errors", [0, 2, 12])  # as many as before, and few enough to be chance beyond 5 %
def test_few_errors_do_not(errors):
    seen = begun(load=failing(errors), pods=(*pods(OLD, 3), *pods(NEW, 1)), now_s=NOW_S + 10)
    assert plan(seen, PLATFORM).status.rollout.revision == revision(NEW)


def test_failed_revision_is_not_tried_again():
    seen = begun(load=failing(60), pods=(*pods(OLD, 3), *pods(NEW, 1)))
    back = after(seen, plan(seen, PLATFORM), load=PoolLoad(), pods=pods(OLD, 3), now_s=NOW_S + 3600)
    made = plan(back, PLATFORM)
    assert made.status.rollout.revision == revision(OLD)
    assert condition(made.status, "Degraded") == ("True", "RolledBack")
    assert condition(made.status, "Progressing") == ("False", "Settled")
    assert made.notes == ()
    more = plan(replace(back, spec=NEW.model_copy(update={"replicas": 5}), generation=3), PLATFORM)
    assert workload(more)["replicas"] == 5
    assert more.status.rollout.revision == revision(OLD)


def test_retry_annotation_or_a_new_spec_tries_again():
    seen = begun(load=failing(60), pods=(*pods(OLD, 3), *pods(NEW, 1)), annotations={RETRY_ANNOTATION: "1"})
    back = after(seen, plan(seen, PLATFORM), load=PoolLoad(), pods=pods(OLD, 3))
    assert plan(back, PLATFORM).status.rollout.revision == revision(OLD)
    again = plan(replace(back, annotations={RETRY_ANNOTATION: "2"}), PLATFORM)
    assert again.status.rollout.revision == revision(NEW)
    assert again.status.rollout.failed_revision == ""
    assert "RolloutStarted" in reasons(again)
    other = spec(replicas=3, engine={"kind": "simulated", "args": {"seed": 3}})
    assert plan(replace(back, spec=other, generation=3), PLATFORM).status.rollout.revision == revision(other)
    undone = plan(replace(back, spec=OLD, generation=3), PLATFORM)
    assert undone.status.rollout.revision == revision(OLD)
    assert condition(undone.status, "Degraded") == ("False", "AsWanted")


def stuck(now_s: float, of: ModelPoolSpec = NEW, **more) -> World:
    first = replace(changed(), spec=of)
    unready = pods(of, 1, since_s=None)
    return after(first, plan(first, PLATFORM), pods=(*pods(OLD, 3), *unready), now_s=now_s, **more)


def test_no_progress_takes_the_change_back():
    before = plan(stuck(NOW_S + 929), PLATFORM)
    assert before.status.rollout.revision == revision(NEW)
    assert before.requeue_after_s == pytest.approx(1)
    made = plan(stuck(NOW_S + 930), PLATFORM)  # progressDeadlineSeconds and warmSeconds
    assert made.status.rollout.reason.startswith("ProgressDeadlineExceeded: 0 of 3 replicas")
    assert condition(made.status, "Degraded") == ("True", "RolledBack")


def test_trouble_of_the_pods_is_the_reason():
    seen = stuck(NOW_S + 930)
    crashing = replace(pods(NEW, 1, since_s=None)[0], trouble=("CrashLoopBackOff", "back-off 5m0s"))
    made = plan(replace(seen, pods=(*pods(OLD, 3), crashing)), PLATFORM)
    assert made.status.rollout.reason.startswith("NotReady: ")
    assert "CrashLoopBackOff" in made.status.rollout.reason


def test_progress_starts_the_clock_anew_and_flapping_does_not():
    seen = replace(stuck(NOW_S + 600), pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=NOW_S + 600)))
    one = after(seen, plan(seen, PLATFORM), now_s=NOW_S + 1000)
    assert one.status.rollout.ready_most == 1
    assert plan(one, PLATFORM).status.rollout.revision == revision(NEW)
    gone = after(one, plan(one, PLATFORM), pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=None)), now_s=NOW_S + 1200)
    again = after(gone, plan(gone, PLATFORM), pods=(*pods(OLD, 3), *pods(NEW, 1, since_s=NOW_S + 1530)), now_s=NOW_S + 1530)
    assert plan(again, PLATFORM).status.rollout.failed_revision == revision(NEW)


def test_pods_that_go_away_are_given_their_time():
    leaving = replace(pods(OLD, 1, prefix="leaving-")[0], terminating=True)
    seen = stuck(NOW_S + 930)
    assert plan(replace(seen, pods=(*seen.pods, leaving)), PLATFORM).status.rollout.revision == revision(NEW)
    late = replace(seen, pods=(*seen.pods, leaving), now_s=NOW_S + 990)
    assert plan(late, PLATFORM).status.rollout.failed_revision == revision(NEW)


def test_old_replicas_that_stay_long_are_no_fault_of_the_new_ones():
    seen = replace(stuck(NOW_S + 5000), pods=(*pods(OLD, 1), *pods(NEW, 3)))
    made = plan(seen, PLATFORM)
    assert made.status.rollout.revision == revision(NEW)
    assert condition(made.status, "Degraded")[0] == "False"


def test_first_revision_has_nothing_to_go_back_to():
    first = world(OLD)
    seen = after(first, plan(first, PLATFORM), pods=pods(OLD, 3, since_s=None), now_s=NOW_S + 930)
    made = plan(seen, PLATFORM)
    assert made.status.rollout.revision == revision(OLD)
    assert made.status.rollout.failed_revision == ""
    assert condition(made.status, "Degraded") == ("True", "ProgressDeadlineExceeded")
    assert condition(made.status, "Progressing") == ("False", "ProgressDeadlineExceeded")
    assert condition(made.status, "Available") == ("False", "NoReplicaReady")
    up = plan(after(seen, made, pods=pods(OLD, 3)), PLATFORM)
    assert condition(up.status, "Degraded") == ("False", "AsWanted")
    assert "Recovered" in reasons(up)


def test_rollback_can_be_switched_off():
    of = NEW.model_copy(update={"rollout": NEW.rollout.model_copy(update={"rollback": False})})
    made = plan(stuck(NOW_S + 930, of), PLATFORM)
    assert made.status.rollout.revision == revision(NEW)
    assert condition(made.status, "Degraded") == ("True", "ProgressDeadlineExceeded")


@pytest.mark.parametrize("revisions", [{}, {revision(OLD): {"nonsense": 1}}])
def test_lost_or_broken_memory_of_the_stable_revision_is_no_crash(revisions):
    made = plan(replace(stuck(NOW_S + 930), revisions=revisions), PLATFORM)
    assert made.status.rollout.revision == revision(NEW)
    assert condition(made.status, "Degraded") == ("True", "ProgressDeadlineExceeded")


def test_no_clock_runs_without_wanted_replicas():
    none = replace(changed(), spec=NEW.model_copy(update={"replicas": 0}))
    asleep = after(none, plan(none, PLATFORM), pods=(), now_s=NOW_S + 5000)
    made = plan(asleep, PLATFORM)
    assert made.status.rollout.stable_revision == revision(OLD)
    assert made.status.rollout.progressed_time is None
    awake = after(asleep, made, spec=NEW)
    assert plan(awake, PLATFORM).status.rollout.failed_revision == ""
    late = after(awake, plan(awake, PLATFORM), now_s=NOW_S + 5930)
    assert plan(late, PLATFORM).status.rollout.failed_revision == revision(NEW)


def test_crash_at_any_write_comes_to_the_same():
    """Between apply and status, the old status is seen with the new objects; the rollback is found again."""
    seen = begun(load=failing(60), pods=(*pods(OLD, 3), *pods(NEW, 1)))
    made = plan(seen, PLATFORM)
    crashed = replace(after(seen, made), status=seen.status, now_s=NOW_S + 5)
    again = plan(crashed, PLATFORM)
    assert again.status.rollout.failed_revision == revision(NEW)
    assert again.apply == made.apply
    assert [note.reason for note in again.notes] == ["RolledBack"]


def test_upgrade_of_the_installation_is_rolled_out_and_taken_back():
    """A new default image is a change like any other: the way back has the image that worked."""
    newer = replace(PLATFORM, worker_image="headgate/worker:2")
    seen = settled(OLD, plan)
    first = plan(seen, newer)
    assert reasons(first) == ["RolloutStarted"]
    late = after(seen, first, now_s=NOW_S + 930)
    made = plan(late, newer)
    assert reasons(made) == ["RolledBack"]
    [container] = workload(made)["template"]["spec"]["containers"]
    assert container["image"] == "headgate/worker:1"


def test_only_old_revisions_go():
    seen = settled(OLD, plan)
    specs = [spec(replicas=3, engine={"kind": "simulated", "args": {"seed": 10 + at}}) for at in range(8)]
    first = seen
    for of in specs:
        changed_to = replace(first, spec=of)
        first = after(changed_to, plan(changed_to, PLATFORM))
    left = [ref.name for ref in first.children if ref.kind == "ControllerRevision"]
    assert f"chat-{revision(OLD)}" in left  # nothing else ever was stable
    assert f"chat-{revision(specs[-1])}" in left
    assert len(left) <= 7
    assert kept(OLD).keys() <= first.revisions.keys()
