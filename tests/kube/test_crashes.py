"""The controller is killed at every write that it makes, before the API server sees it and after, and begins anew: wherever
it was, what comes of it is the same.
"""

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from controlplane.cluster.writes import APPLIED
from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.proxy import Answer, Cut, FaultyProxy, Request
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool
from tests.kube.stack.processes import Daemon, control_plane

pytestmark = pytest.mark.requires("kube")
KINDS = ("ModelPool", "Deployment", "Service", "PodDisruptionBudget", "ControllerRevision", "PersistentVolumeClaim")
LEAST_WRITES = 8
WRITES = ("POST", "PATCH", "PUT", "DELETE")
# What differs between two runs that came to the same.
PASSING = frozenset(
    (
        *("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation", "observedGeneration", "namespace"),
        *("lastTransitionTime", "lastUpdateTime", "startedTime", "progressedTime", "lastScaleTime", "coldStartSeconds"),
    )
)


def settled(view: View) -> dict[str, Any]:
    """Every object of the namespace without what differs between two runs."""
    return {f"{kind}/{one['metadata']['name']}": bare(one) for kind in KINDS for one in view.all(kind)}


def bare(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: bare(value) for key, value in tree.items() if key not in PASSING}
    return [bare(item) for item in tree] if isinstance(tree, list) else tree


def is_write(request: Request) -> bool:
    return request.method in WRITES and "/leases/" not in request.path and not request.path.endswith(("/leases", "/events"))


class Killer:
    """Kills the controller at its n-th write, once."""

    def __init__(self, controller: Daemon, at: int, *, after: bool) -> None:
        self.controller, self.at, self.after, self.seen, self.done = controller, at, after, 0, False

    def hook(self, proxy: FaultyProxy) -> None:
        if self.after:
            proxy.after = self._after
        else:
            proxy.before = self._before

    async def _before(self, request: Request) -> Answer | None:
        return await self._maybe(request)

    async def _after(self, request: Request, answer: Answer) -> Answer | None:
        return await self._maybe(request)

    async def _maybe(self, request: Request) -> Answer | None:
        if is_write(request) and not self.done:
            self.seen += 1
            if self.seen == self.at:
                self.done = True
                await asyncio.to_thread(self.controller.kill)
                raise Cut
        return None


async def run(cluster: Cluster, folder: Path, name: str, at: int, *, after: bool = False) -> tuple[dict[str, Any], int]:
    """A pool is made and changed, the controller killed at write number `at` (0: never). Returns the end, and the writes."""
    view = View(cluster, await asyncio.to_thread(cluster.add_namespace, name))
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:
        controller = control_plane(folder / name, proxy.kubeconfig, [view.namespace])
        killer = Killer(controller, at, after=after)
        killer.hook(proxy)
        await asyncio.to_thread(controller.launch)
        try:
            await asyncio.to_thread(view.apply, pool("llama", replicas=2, cache={"claimSize": "1Gi"}))
            await asyncio.to_thread(until, view, controller, "llama-model")
            await asyncio.to_thread(view.patch, "ModelPool", "llama", {"spec": {"model": {"name": "next"}}})
            await asyncio.to_thread(until, view, controller, "next")
            # How many statuses are written on the way differs from run to run: the last kills may find nothing to kill at.
            assert killer.done == (at > 0) or at > LEAST_WRITES
            return await asyncio.to_thread(settled, view), sum(map(is_write, proxy.seen))
        finally:
            await asyncio.to_thread(controller.kill)


def until(view: View, controller: Daemon, model: str) -> None:
    """Waits until the pool serves this model; starts the controller again when it was killed, as Kubernetes does."""

    def serves() -> bool:
        if controller.program.state() == "stopped":
            controller.launch()
        deployment = view.get("Deployment", "llama") or {}
        return model in str(deployment.get("spec")) and view.is_available("llama")

    eventually(serves, f"the pool to serve {model}", 90)


async def test_killed_at_any_write_it_ends_the_same(cluster: Cluster, tmp_path: Path, own_network: None) -> None:
    await asyncio.to_thread(cluster.install_crds_from, CRDS)
    await asyncio.to_thread(cluster.add_volumes, 40, prefix="crash")
    undisturbed, writes = await run(cluster, tmp_path, "crash-never", 0)
    assert writes >= LEAST_WRITES
    at_once = asyncio.Semaphore(6)

    async def killed(at: int, *, after: bool) -> None:
        async with at_once:
            ended, _ = await run(cluster, tmp_path, f"crash-{at}-{'after' if after else 'before'}", at, after=after)
            assert named(ended) == named(undisturbed), (at, after)

    runs = [killed(at, after=after) for at in range(1, writes + 1) for after in (False, True)]
    faults = [fault for fault in await asyncio.gather(*runs, return_exceptions=True) if fault is not None]
    assert faults == []


def named(ended: dict[str, Any]) -> dict[str, Any]:
    """Without what other programs number or say, and without digests, in which the owner's uid is."""
    tree = copy.deepcopy(ended)
    numbered = (
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "deployment.kubernetes.io/revision",
        APPLIED,
    )
    for name, one in tree.items():
        one["spec"] = {key: value for key, value in one.get("spec", {}).items() if key != "volumeName"}
        notes = one["metadata"].get("annotations", {})
        one["metadata"]["annotations"] = {key: value for key, value in notes.items() if key not in numbered}
        one.pop("revision", None)
        if not name.startswith("ModelPool/"):
            one.pop("status", None)
    return tree
