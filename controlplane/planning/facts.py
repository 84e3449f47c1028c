"""What the schema allows and the facts don't: each finding has a reason, and a message that says what to do about it.

A finding that stops means Accepted=False: nothing new is applied, and what runs goes on running. The others are told as
Degraded=True, and the pool goes its way. Findings are looked for anew each time, so what is repaired recovers by itself.

| reason | when | effect |
|---|---|---|
| NameTaken | another ModelPool serves the name, or an object of a child's name is not ours | stops |
| SecretNotFound | a Secret, or its key, that the spec names does not exist | stops |
| RuntimeMissing | runtime RayService, and the cluster has no such kind | stops |
| PrefillPoolNotFound | role decode, and the namespace has no ModelPool of that name | stops: it could not serve |
| InferencePoolMissing | inferencePool is wanted, and the cluster has no such kind | degrades: all else is applied |
| EndpointPickerMissing | inferencePool is wanted, and our config names no picker | degrades: all else is applied |
| NoNodeFits | no node that the pods may use has the GPUs of one pod | degrades: a node autoscaler may bring one |
| ImagePullFailed, CrashLooping, ContainerConfigInvalid, Unschedulable, PodFailing | a pod says so | degrades |
| RayNotAnswering | Ray has not answered for a minute, whatever KubeRay's status says | degrades |
| RayDeployFailed | a Serve application failed to deploy | degrades |
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass

from controlplane.manifests.compute import gpus_per_pod
from controlplane.manifests.owner import Owner, owns
from controlplane.resources.model_pool import Hardware, Toleration
from controlplane.world import NodeRoom, Platform, RaySeen, Ref, World

RAY_SILENCE_S = 60.0

_TROUBLES = {
    "ErrImagePull": "ImagePullFailed",
    "ImagePullBackOff": "ImagePullFailed",
    "InvalidImageName": "ImagePullFailed",
    "CrashLoopBackOff": "CrashLooping",
    "Error": "CrashLooping",
    "OOMKilled": "CrashLooping",
    "CreateContainerConfigError": "ContainerConfigInvalid",
    "CreateContainerError": "ContainerConfigInvalid",
    "Unschedulable": "Unschedulable",
}
_ADVICE = {
    "ImagePullFailed": "check engine.image and the pull secrets",
    "CrashLooping": "see the logs of the pod",
    "ContainerConfigInvalid": "check what the container refers to",
    "Unschedulable": "free or add nodes, or ask for less",
    "PodFailing": "see the events of the pod",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`stops`: nothing new is applied while it holds. `reason` is UpperCamelCase."""

    reason: str
    message: str
    stops: bool = False


def findings(world: World, platform: Platform, wanted: Container[Ref]) -> tuple[Finding, ...]:
    """Everything that is wrong now, what stops first. `wanted` are the objects that this pool is to have."""
    wrong_here = (*_names(world, wanted), *_references(world), *_nodes(world), *_pods(world), *_ray(world))
    return tuple(sorted((*wrong_here, *_cluster(world, platform)), key=lambda finding: not finding.stops))


def ray_silent(ray: RaySeen, now_s: float) -> bool:
    """Whether Ray has been silent for too long."""
    return now_s - _last_answer(ray) >= RAY_SILENCE_S


def ray_due_s(ray: RaySeen | None) -> float | None:
    """When silence becomes a finding, unless an answer comes first."""
    return None if ray is None else _last_answer(ray) + RAY_SILENCE_S


def _names(world: World, wanted: Container[Ref]) -> Iterator[Finding]:
    if world.name_owner:
        text = f"the name of this pool or of its model is already served by ModelPool {world.name_owner}: choose another"
        yield Finding("NameTaken", text, stops=True)
    owner = Owner(world.namespace, world.name, world.uid)
    foreign = [ref for ref, seen in world.children.items() if ref in wanted and not owns(owner, seen)]
    if foreign:
        names = ", ".join(sorted(f"{ref.kind} {ref.name}" for ref in foreign))
        text = f"not made for this ModelPool, and left alone: {names}; remove it, or choose another name"
        yield Finding("NameTaken", text, stops=True)


def _references(world: World) -> Iterator[Finding]:
    if world.secrets_missing:
        text = f"create in namespace {world.namespace}: {', '.join(sorted(world.secrets_missing))} (secret/key)"
        yield Finding("SecretNotFound", text, stops=True)
    prefill = world.spec.prefill_pool
    if prefill is not None and prefill not in world.pools:
        text = f"spec.prefillPool: namespace {world.namespace} has no ModelPool {prefill}"
        yield Finding("PrefillPoolNotFound", text, stops=True)


def _cluster(world: World, platform: Platform) -> Iterator[Finding]:
    if world.spec.runtime == "RayService" and "RayService" not in platform.has:
        text = "spec.runtime RayService needs KubeRay: install it, or use runtime Deployment in a new ModelPool"
        yield Finding("RuntimeMissing", text, stops=True)
    if world.spec.inference_pool and "InferencePool" not in platform.has:
        yield Finding("InferencePoolMissing", "spec.inferencePool needs the Gateway API Inference Extension: install its CRDs")
    elif world.spec.inference_pool and not platform.endpoint_picker:
        text = "spec.inferencePool needs platform.endpoint_picker in the control plane's config"
        yield Finding("EndpointPickerMissing", text)


def _nodes(world: World) -> Iterator[Finding]:
    hardware = world.spec.hardware
    gpus = gpus_per_pod(world.spec)
    if world.nodes is None or gpus == 0:
        return
    usable = [node for node in world.nodes if _selected(node, hardware) and _tolerated(node, hardware)]
    most = max((node.gpus.get(hardware.gpu_resource, 0) for node in usable), default=0)
    if most < gpus:
        text = (
            f"one pod asks for {gpus} {hardware.gpu_resource}; of {len(world.nodes)} nodes, {len(usable)} match "
            f"nodeSelector and tolerations, and the largest of those has {most}: lower hardware.gpus, use runtime RayService "
            "to span nodes, or add nodes"
        )
        yield Finding("NoNodeFits", text)


def _selected(node: NodeRoom, hardware: Hardware) -> bool:
    return all(node.labels.get(key) == value for key, value in hardware.node_selector.items())


def _tolerated(node: NodeRoom, hardware: Hardware) -> bool:
    """GPU pods tolerate the GPU's own taint, as manifests write it; PreferNoSchedule keeps nobody away."""
    tolerations = [*hardware.tolerations, Toleration(key=hardware.gpu_resource, operator="Exists")]
    taints = [taint for taint in node.taints if taint[2] != "PreferNoSchedule"]
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints)


def _tolerates(toleration: Toleration, taint: tuple[str, str, str]) -> bool:
    key, value, effect = taint
    if toleration.effect not in (None, effect):
        return False
    if toleration.key is None:
        return True
    return toleration.key == key and (toleration.operator == "Exists" or (toleration.value or "") == value)


def _pods(world: World) -> Iterator[Finding]:
    troubled: dict[str, list[tuple[str, str]]] = {}
    for pod in world.pods:
        if pod.trouble is not None and not pod.terminating:
            reason = _TROUBLES.get(pod.trouble[0], "PodFailing")
            troubled.setdefault(reason, []).append((pod.name, ": ".join(filter(None, pod.trouble))))
    for reason, advice in _ADVICE.items():
        if reason in troubled:
            name, said = min(troubled[reason])
            yield Finding(reason, f"{len(troubled[reason])} of {len(world.pods)} pods, such as {name}: {said}; {advice}")


def _ray(world: World) -> Iterator[Finding]:
    ray = world.ray
    if world.spec.runtime != "RayService" or ray is None:
        return
    if ray_silent(ray, world.now_s) and _was_served(world):
        fault = f" ({ray.fault})" if ray.fault else ""
        text = f"Ray has not answered for {RAY_SILENCE_S:.0f} s{fault}; KubeRay's own status may be stale"
        yield Finding("RayNotAnswering", text)
    failed = sorted(name for name, status in ray.applications.items() if status == "DEPLOY_FAILED")
    if ray.answered and failed:
        text = f"Serve applications that failed to deploy: {', '.join(failed)}; see the logs of Ray Serve"
        yield Finding("RayDeployFailed", text)


def _was_served(world: World) -> bool:
    """A RayService that never came up is starting; the rollout's deadline watches over that."""
    return world.status.rollout is not None and world.status.rollout.stable_revision != ""


def _last_answer(ray: RaySeen) -> float:
    if ray.answered:
        return ray.asked_s
    return ray.last_answer_s or 0.0


def inference_pool_possible(platform: Platform) -> bool:
    """Whether InferencePools can be made here."""
    return "InferencePool" in platform.has and bool(platform.endpoint_picker)
