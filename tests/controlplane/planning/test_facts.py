"""What is valid and yet impossible: each reason, whether it stops, and that it passes when it is repaired."""

from dataclasses import replace

import pytest

from controlplane.planning.plan import plan
from controlplane.world import NodeRoom, PodSeen, RaySeen, World
from tests.controlplane.planning.worlds import (
    NOW_S,
    PLATFORM,
    after,
    condition,
    made_for,
    pods,
    revision,
    settled,
    spec,
    world,
)

GPU = "nvidia.com/gpu"
DECODE = spec(role="decode", prefillPool="prefill")
RAY = spec(runtime="RayService")
WIDE = spec(hardware={"gpus": 8, "nodeSelector": {"gpu": "h100"}, "tolerations": [{"key": "team", "value": "chat"}]})
TRUE = ("True", "Accepted")


def node(gpus: int, *taints: tuple[str, str, str], gpu: str = "h100") -> NodeRoom:
    return NodeRoom("n", {GPU: gpus}, {"gpu": gpu}, taints)


STOPPED = {
    "secret": (spec(), {"secrets_missing": ("hub/token",)}, "SecretNotFound", {"secrets_missing": ()}),
    "older pool": (spec(), {"name_owner": "models/other"}, "NameTaken", {"name_owner": ""}),
    "prefill": (DECODE, {"pools": frozenset({"chat"})}, "PrefillPoolNotFound", {"pools": frozenset({"chat", "prefill"})}),
}


@pytest.mark.parametrize(("of", "wrong", "reason", "repaired"), STOPPED.values(), ids=STOPPED)
def test_stops_and_recovers(of, wrong, reason, repaired):
    seen = world(of, **wrong)
    made = plan(seen, PLATFORM)
    assert made.apply == made.delete == ()
    assert condition(made.status, "Accepted") == ("False", reason)
    assert condition(made.status, "Progressing") == ("False", "NotAccepted")
    assert condition(made.status, "Available") == ("False", "NoReplicaReady")
    assert condition(made.status, "Degraded") == ("True", reason)
    assert [note.reason for note in made.notes] == [reason]
    again = plan(after(seen, made), PLATFORM)
    assert again.notes == ()
    assert again.status == made.status
    good = plan(replace(after(seen, made), **repaired), PLATFORM)
    assert condition(good.status, "Accepted") == TRUE
    assert good.apply
    assert "Accepted" in [note.reason for note in good.notes]


def test_missing_secret_is_looked_for_again_and_only_its_name_is_told():
    made = plan(world(spec(), secrets_missing=("hub/token", "a/b")), PLATFORM)
    assert made.requeue_after_s == 30
    assert "a/b, hub/token" in made.notes[0].message


def test_what_runs_goes_on_while_stopped():
    seen = replace(settled(spec(replicas=2), plan), secrets_missing=("hub/token",))
    made = plan(seen, PLATFORM)
    assert made.apply == made.delete == ()
    assert condition(made.status, "Available") == ("True", "MinimumReplicasReady")
    assert made.status.rollout == seen.status.rollout
    assert made.status.scaling == seen.status.scaling


def test_stop_in_the_middle_of_a_rollout_stops_its_clock():
    first = replace(settled(spec(), plan), spec=spec(engine={"kind": "simulated", "args": {"seed": 2}}))
    begun = after(first, plan(first, PLATFORM), secrets_missing=("hub/token",), now_s=NOW_S + 2000)
    stopped = plan(begun, PLATFORM)
    assert stopped.status.rollout.failed_revision == ""
    good = after(begun, stopped, secrets_missing=(), now_s=NOW_S + 5000)
    made = plan(good, PLATFORM)
    assert made.status.rollout.failed_revision == ""
    late = after(good, made, now_s=NOW_S + 5930)
    assert plan(late, PLATFORM).status.rollout.failed_revision == revision(first.spec)


def test_somebody_elses_object_is_left_alone():
    seen = world(spec())
    theirs = {
        ref: {**child, "metadata": {**child["metadata"], "ownerReferences": []}} if ref.kind == "Service" else child
        for ref, child in made_for(spec()).items()
    }
    made = plan(replace(seen, children=theirs), PLATFORM)
    assert made.apply == made.delete == ()
    assert condition(made.status, "Accepted") == ("False", "NameTaken")
    assert "Service chat" in made.notes[0].message
    assert made.requeue_after_s == 30  # nobody tells when it goes: what is not ours is not watched
    ours = plan(replace(seen, children=made_for(spec())), PLATFORM)
    assert condition(ours.status, "Accepted") == TRUE


def test_runtime_missing_stops():
    bare = replace(PLATFORM, has=frozenset())
    made = plan(world(RAY), bare)
    assert condition(made.status, "Accepted") == ("False", "RuntimeMissing")
    assert 0 < made.requeue_after_s <= 30
    assert condition(plan(world(RAY), PLATFORM).status, "Accepted") == TRUE


@pytest.mark.parametrize(
    ("platform", "reason"),
    [
        (replace(PLATFORM, has=frozenset()), "InferencePoolMissing"),
        (replace(PLATFORM, endpoint_picker=""), "EndpointPickerMissing"),
    ],
)
def test_inference_pool_is_left_out_where_it_cannot_be(platform, reason):
    seen = world(spec(inferencePool=True))
    made = plan(seen, platform)
    assert condition(made.status, "Accepted") == TRUE
    assert condition(made.status, "Degraded") == ("True", reason)
    assert [child["kind"] for child in made.apply].count("InferencePool") == 0
    assert "Deployment" in [child["kind"] for child in made.apply]
    assert "InferencePool" in [child["kind"] for child in plan(seen, PLATFORM).apply]


@pytest.mark.parametrize(
    ("nodes", "fits"),
    [
        (None, True),  # not known
        ((), False),
        ((node(4), node(4)), False),  # one pod is on one node
        ((node(8),), True),
        ((node(8, gpu="a10"),), False),
        ((node(8, (GPU, "present", "NoSchedule")),), True),  # GPU pods tolerate the GPU's own taint
        ((node(8, ("team", "chat", "NoSchedule")),), True),
        ((node(8, ("team", "other", "NoSchedule")),), False),
        ((node(8, ("team", "other", "PreferNoSchedule")),), True),
        ((node(8, ("down", "", "NoExecute")),), False),
    ],
)
def test_nodes(nodes, fits):
    made = plan(world(WIDE, nodes=nodes), PLATFORM)
    assert condition(made.status, "Accepted") == TRUE
    assert made.apply  # a node autoscaler may bring what fits
    assert condition(made.status, "Degraded") == (("False", "AsWanted") if fits else ("True", "NoNodeFits"))


def test_pool_without_gpus_fits_anywhere():
    assert condition(plan(world(spec(), nodes=()), PLATFORM).status, "Degraded")[0] == "False"


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("Unschedulable", "Unschedulable"),
        ("CrashLoopBackOff", "CrashLooping"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("ErrImagePull", "ImagePullFailed"),
        ("CreateContainerConfigError", "ContainerConfigInvalid"),
        ("NodeLost", "PodFailing"),
    ],
)
def test_trouble_of_pods_degrades(trouble, reason):
    seen = settled(spec(replicas=2), plan)
    bad = PodSeen("chat-x", revision(spec()), NOW_S, trouble=(trouble, "0/3 nodes"))
    made = plan(replace(seen, pods=(seen.pods[0], bad)), PLATFORM)
    assert condition(made.status, "Degraded") == ("True", reason)
    assert condition(made.status, "Available") == ("False", "TooFewReplicas")
    assert "chat-x" in made.notes[0].message
    assert made.apply
    leaving = plan(replace(seen, pods=(*seen.pods, replace(bad, terminating=True))), PLATFORM)
    assert condition(leaving.status, "Degraded") == ("False", "AsWanted")


def ray_pool(seen: RaySeen | None, **more) -> World:
    return replace(settled(RAY, plan), ray=seen, **more)


def test_ray_that_does_not_answer():
    silent = RaySeen(NOW_S + 60, answered=False, fault="no answer in 2 s", last_answer_s=NOW_S)
    made = plan(ray_pool(silent, now_s=NOW_S + 60), PLATFORM)
    assert condition(made.status, "Degraded") == ("True", "RayNotAnswering")
    assert condition(made.status, "Available") == ("False", "RayNotAnswering")
    assert made.apply
    lately = plan(ray_pool(silent, now_s=NOW_S + 59), PLATFORM)
    assert condition(lately.status, "Available") == ("True", "MinimumReplicasReady")
    assert lately.requeue_after_s == pytest.approx(1)
    never = RaySeen(NOW_S, answered=False)
    assert condition(plan(ray_pool(never), PLATFORM).status, "Degraded") == ("True", "RayNotAnswering")
    back = RaySeen(NOW_S + 70, answered=True, applications={"worker": "RUNNING"}, last_answer_s=NOW_S + 70)
    assert condition(plan(ray_pool(back, now_s=NOW_S + 70), PLATFORM).status, "Available")[0] == "True"


def test_ray_that_starts_is_not_silent():
    made = plan(world(RAY, ray=RaySeen(NOW_S, answered=False)), PLATFORM)
    assert condition(made.status, "Degraded") == ("False", "AsWanted")


def test_ray_application_that_failed_to_deploy():
    failed = RaySeen(NOW_S, answered=True, applications={"worker": "DEPLOY_FAILED"}, last_answer_s=NOW_S)
    made = plan(ray_pool(failed), PLATFORM)
    assert condition(made.status, "Degraded") == ("True", "RayDeployFailed")
    assert condition(made.status, "Available")[0] == "True"  # the old replicas serve


def test_ray_pods_of_one_replica_count_once():
    two_each = spec(runtime="RayService", replicas=2, ray={"nodes": 2}, engine={"kind": "vllm"})
    answering, silent = pods(two_each, 2), pods(two_each, 2, since_s=None, prefix="node-")
    made = plan(world(two_each, pods=(*answering, *silent)), PLATFORM)
    assert (made.status.replicas, made.status.ready_replicas, made.status.updated_replicas) == (2, 2, 2)
    assert made.status.rollout.stable_revision == revision(two_each)


def test_several_findings_are_all_told_and_what_stops_comes_first():
    made = plan(world(WIDE, nodes=(), secrets_missing=("hub/token",)), PLATFORM)
    assert condition(made.status, "Degraded") == ("True", "SecretNotFound")
    [degraded] = [one for one in made.status.conditions if one.type == "Degraded"]
    assert "NoNodeFits: one pod asks for 8" in degraded.message


def test_deleted_pool_needs_nothing():
    seen = replace(settled(spec(), plan), deleting=True)
    made = plan(seen, PLATFORM)
    assert (made.apply, made.delete, made.notes, made.requeue_after_s) == ((), (), (), None)
    assert made.status == seen.status
