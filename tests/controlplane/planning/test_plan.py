"""The plan as a whole: who sets replicas, what the conditions say, when to look again; and that it settles."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.manifests.owner import ref_of
from controlplane.planning.plan import plan
from controlplane.resources.status import ModelPoolStatus, ScalingStatus
from controlplane.world import PodSeen, PoolLoad, RevisionLoad
from tests.controlplane.planning.worlds import (
    NOW_S,
    PLATFORM,
    after,
    condition,
    pods,
    revision,
    settled,
    spec,
    workload,
    world,
)

SCALED = spec(autoscaling={"minReplicas": 1, "maxReplicas": 8, "targetUtilization": 0.5})
FROM_ZERO = spec(replicas=0, autoscaling={"minReplicas": 0, "maxReplicas": 8})
BUSY = PoolLoad(routers=1, running=10, slots=10)


def test_fixed_number():
    made = plan(world(spec(replicas=3)), PLATFORM)
    assert workload(made)["replicas"] == 3
    assert made.status.scaling.reason == "Fixed"
    assert made.status.selector == "headgate.dev/pool=chat"
    assert made.status.observed_generation == 1
    assert made.requeue_after_s == pytest.approx(930)  # the first revision's deadline


def test_external_follows_scale():
    external = spec(replicas=5, autoscaling={"mode": "External", "maxReplicas": 2})
    made = plan(world(external, load=BUSY), PLATFORM)
    assert workload(made)["replicas"] == 5
    assert made.status.scaling.reason == "External"


def test_load_decides():
    seen = settled(SCALED, plan)
    made = plan(replace(seen, load=BUSY, now_s=NOW_S + 60), PLATFORM)
    assert workload(made)["replicas"] == 2
    assert [(note.reason, note.message) for note in made.notes] == [("ScaledUp", "from 1 to 2 replicas: Concurrency")]
    assert condition(made.status, "Progressing") == ("True", "ScalingUp")
    assert condition(made.status, "Available") == ("True", "MinimumReplicasReady")
    assert made.requeue_after_s == 5


def test_from_zero_and_back():
    asleep = world(FROM_ZERO, load=PoolLoad(routers=1))
    made = plan(asleep, PLATFORM)
    assert workload(made)["replicas"] == 0
    assert condition(made.status, "Available") == ("True", "ScaledToZero")
    assert condition(made.status, "Progressing") == ("False", "ScaledToZero")
    woken = after(asleep, made, load=PoolLoad(routers=1, waiting=1), now_s=NOW_S + 10)
    up = plan(woken, PLATFORM)
    assert workload(up)["replicas"] == 1
    assert condition(up.status, "Available") == ("False", "NoReplicaReady")
    running = after(woken, up, pods=pods(FROM_ZERO, 1), load=PoolLoad(routers=1, slots=8), now_s=NOW_S + 20)
    up_and_done = plan(running, PLATFORM)
    assert up_and_done.status.rollout.stable_revision == revision(FROM_ZERO)
    idle = after(running, up_and_done, now_s=NOW_S + 700)
    down = plan(idle, PLATFORM)
    assert workload(down)["replicas"] == 0
    assert "ScaledDown" in [note.reason for note in down.notes]
    assert condition(down.status, "Progressing") == ("True", "ScalingDown")


def test_minimum_replicas_are_the_floor():
    pair = spec(autoscaling={"minReplicas": 2, "maxReplicas": 8})
    seen = replace(world(pair), status=ModelPoolStatus(scaling=ScalingStatus(desired_replicas=4)))
    assert condition(plan(replace(seen, pods=pods(pair, 2)), PLATFORM).status, "Available")[0] == "True"
    assert condition(plan(replace(seen, pods=pods(pair, 1)), PLATFORM).status, "Available") == ("False", "TooFewReplicas")


def test_gpu_budget_limits_and_is_told():
    gpu = spec(replicas=4, hardware={"gpus": 2})
    made = plan(world(gpu, granted=3), PLATFORM)
    assert workload(made)["replicas"] == 3
    assert made.status.scaling.reason == "GpuBudget"
    assert made.status.scaling.gpus_granted == 6
    scaled = spec(hardware={"gpus": 2}, autoscaling={"minReplicas": 2, "maxReplicas": 8, "targetUtilization": 0.5})
    status = ModelPoolStatus(scaling=ScalingStatus(desired_replicas=3, slots_per_replica=10.0))
    crowd = PoolLoad(routers=1, running=30, slots=30)
    limited = plan(world(scaled, status, granted=3, load=crowd, pods=pods(scaled, 3)), PLATFORM)
    assert workload(limited)["replicas"] == 3
    assert limited.status.scaling.reason == "GpuBudget"
    none = plan(world(scaled, status, granted=0, load=crowd, pods=pods(scaled, 3)), PLATFORM)
    assert workload(none)["replicas"] == 0
    freed = plan(world(scaled, status, granted=8, load=crowd, pods=pods(scaled, 3)), PLATFORM)
    assert workload(freed)["replicas"] == 6
    assert freed.status.scaling.reason == "Concurrency"
    assert plan(world(spec(replicas=4), granted=0), PLATFORM).status.scaling.desired_replicas == 4  # it takes no GPU


def test_settled_pool_is_left_in_peace():
    seen = settled(spec(replicas=2), plan)
    made = plan(replace(seen, now_s=NOW_S + 86400), PLATFORM)
    assert made.requeue_after_s is None
    assert made.status == seen.status
    assert made.notes == ()


def test_dropped_inference_pool_goes():
    seen = settled(spec(inferencePool=True), plan)
    made = plan(replace(seen, spec=spec()), PLATFORM)
    assert [ref.kind for ref in made.delete] == ["InferencePool"]


def test_transition_times_move_with_the_status_alone():
    seen = settled(spec(replicas=2), plan)
    less = after(seen, plan(seen, PLATFORM), pods=seen.pods[:1], now_s=NOW_S + 100)
    made = plan(less, PLATFORM)
    times = {one.type: one.last_transition_time for one in made.status.conditions}
    assert times["Available"] == "2027-01-15T08:01:40Z"
    assert times["Accepted"] == "2027-01-15T08:00:00Z"


specs = st.builds(
    lambda replicas, auto, seed, rollback, budgeted: spec(
        replicas=replicas,
        engine={"kind": "simulated", "args": {"seed": seed}},
        rollout={"rollback": rollback, "warmSeconds": 30, "progressDeadlineSeconds": 60},
        hardware={"gpus": 1 if budgeted else 0},
        **({"autoscaling": auto} if auto else {}),
    ),
    st.integers(0, 4),
    st.sampled_from([None, {"minReplicas": 0, "maxReplicas": 6}, {"minReplicas": 2, "maxReplicas": 6}, {"mode": "External"}]),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
)
REVISIONS = sorted({revision(spec(engine={"kind": "simulated", "args": {"seed": at}})) for at in range(3)})
pod_lists = st.lists(
    st.builds(
        lambda at, rev, age, ready, gone, bad: PodSeen(
            f"p{at}",
            rev,
            NOW_S - age - 40,
            ready,
            NOW_S - age if ready else None,
            gone,
            "",
            ("CrashLoopBackOff", "") if bad else None,
        ),
        st.integers(0, 99),
        st.sampled_from(REVISIONS),
        st.integers(0, 100),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
).map(tuple)
loads = st.builds(
    lambda routers, running, waiting, rates, errors: PoolLoad(
        routers=routers,
        running=running,
        waiting=waiting,
        slots=32,
        arrivals_per_s=rates,
        answers_per_s=rates / 2,
        over_s=15.0,
        revisions={REVISIONS[0]: RevisionLoad(60, 100, errors), REVISIONS[1]: RevisionLoad(60, 100, 1)},
    ),
    st.integers(0, 2),
    st.integers(0, 60),
    st.integers(0, 60),
    st.floats(0, 20),
    st.integers(0, 100),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(specs, pod_lists, loads, st.integers(0, 120), st.none() | st.integers(0, 5)), min_size=1, max_size=6))
def test_any_history_settles(history):
    """Whatever came before: a plan carried out changes nothing more at the same moment, and says so in the same words."""
    seen = world(history[0][0])
    for of, running, load, later_s, granted in history:
        seen = replace(seen, spec=of, pods=running, load=load, now_s=seen.now_s + later_s, granted=granted)
        made = plan(seen, PLATFORM)
        done = after(seen, made)
        again = plan(done, PLATFORM)
        assert again.status == made.status
        assert again.apply == made.apply
        assert again.delete == ()
        assert again.notes == ()
        assert made.requeue_after_s is None or made.requeue_after_s > 0
        assert len({ref_of(child) for child in made.apply}) == len(made.apply)
        assert ModelPoolStatus.model_validate(made.status.model_dump(by_alias=True)) == made.status
        seen = done


@settings(max_examples=60, deadline=None)
@given(specs, pod_lists, loads, st.integers(0, 5))
def test_replicas_stay_within_what_is_allowed(of, running, load, granted):
    made = plan(world(of, pods=running, load=load, granted=granted), PLATFORM)
    replicas = workload(made)["replicas"]
    auto = of.autoscaling
    if of.hardware.gpus:
        assert replicas <= granted
    elif auto is not None and auto.mode == "Headgate":
        assert auto.min_replicas <= replicas <= auto.max_replicas
    else:
        assert replicas == of.replicas
