"""From `kubectl apply` to an answer: pools on the cluster, their workers at the pods' own addresses, a router that knows of
them from the control plane alone, and a client.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool, secret, tenant
from tests.kube.stack.processes import Daemon, control_plane, router
from tests.kube.stack.workers import Workers

pytestmark = pytest.mark.requires("kube")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
API_DOWN_S = 60.0


@dataclass
class Site:
    """Everything that runs, as one thing to be tried."""

    view: View
    controller: Daemon
    router: Daemon
    workers: Workers

    def ask(self, model: str, key: str = "", timeout_s: float = 30.0) -> dict[str, Any]:
        """One chat completion. Raises HTTPError."""
        body = {"model": model, "messages": [{"role": "user", "content": "Say something."}]}
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(
            f"http://{self.router.addresses['http']}/v1/chat/completions", json.dumps(body).encode(), headers
        )
        with _OPENER.open(request, timeout=timeout_s) as answer:
            said: dict[str, Any] = json.loads(answer.read())
            return said

    def ready(self, pool_name: str) -> float:
        """How many replicas of the pool take requests, as the router sees it."""
        lines = self.router.get("/metrics")[1].splitlines()
        named = [line for line in lines if line.startswith(f'headgate_router_ready_endpoints{{name="{pool_name}"}}')]
        return float(named[0].rpartition(" ")[2]) if named else 0.0


@contextmanager
def site(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Site]:
    cluster.install_crds_from(CRDS)
    with (
        Workers(cluster, namespace, folder / "pods") as workers,
        control_plane(folder / "controlplane", cluster.admin_kubeconfig, [namespace]) as controller,
        router(folder / "router", controller.addresses["grpc"]) as running,
    ):
        yield Site(View(cluster, namespace), controller, running, workers)


@pytest.fixture
def here(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Site]:
    with site(cluster, namespace, tmp_path) as running:
        yield running


def test_a_client_is_answered_and_follows_scale_up_and_a_workers_death(here: Site) -> None:
    here.view.apply(pool("llama", replicas=1))
    eventually(lambda: here.ready("llama") == 1, "the router to know one replica")
    answer = here.ask("llama")
    assert answer["choices"][0]["message"]["content"]
    first = answer["headgate"]["replica"] if "headgate" in answer else ""
    here.view.cluster.kubectl("scale", "modelpool/llama", "--replicas=3", "-n", here.view.namespace)
    eventually(lambda: here.ready("llama") == 3, "the router to know three replicas")
    pods = {one["metadata"]["name"] for one in here.view.pods("llama")}
    assert first in {"", *pods}
    here.workers.kill(sorted(pods)[0])
    eventually(lambda: here.ready("llama") == 2, "the router to notice the death")
    for _ in range(20):
        assert here.ask("llama")["choices"][0]["finish_reason"]


def test_tenants_and_their_keys_reach_the_router(here: Site) -> None:
    here.view.apply(pool("llama"), pool("qwen"))
    eventually(lambda: here.ready("llama") == here.ready("qwen") == 1, "both pools")
    here.view.apply(
        secret("keys", acme="sk-acme"), tenant("acme", keys=[{"secret": {"name": "keys", "key": "acme"}}], pools=["llama"])
    )

    def status(model: str, key: str) -> int:
        try:
            here.ask(model, key)
        except urllib.error.HTTPError as fault:
            return fault.code
        return 200

    eventually(lambda: status("llama", "") == 401, "keys to be demanded")
    assert status("llama", "sk-acme") == 200
    assert status("llama", "sk-other") == 401
    assert status("qwen", "sk-acme") in (403, 404)
    here.view.delete("Tenant", "acme")
    eventually(lambda: status("qwen", "") == 200, "no key to be needed")


@dataclass
class Traffic:
    """Requests one after the other, in a thread of their own, until `stop`."""

    site: Site
    model: str
    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Traffic":
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.site.ask(self.model)
                self.answered += 1
            except OSError as fault:
                self.failed.append(str(fault))


def test_a_rolling_change_and_a_scale_down_lose_no_request(here: Site) -> None:
    # Pods here are Ready before their workers listen, at addresses that others had a moment ago: so the old ones stay a while.
    here.view.apply(pool("llama", replicas=2, rollout={"warmSeconds": 8}))
    eventually(lambda: here.ready("llama") == 2, "two replicas")
    old = {one["metadata"]["name"] for one in here.view.pods("llama")}
    with Traffic(here, "llama") as traffic:
        eventually(lambda: traffic.answered > 5, "traffic")
        # An engine setting, so that pods change and the model's name stays.
        here.view.patch("ModelPool", "llama", {"spec": {"engine": {"args": {"max_running": 32}}}})
        eventually(
            lambda: not old & {p["metadata"]["name"] for p in here.view.pods("llama")} and here.ready("llama") == 2,
            "new pods",
            120,
        )
        here.view.cluster.kubectl("scale", "modelpool/llama", "--replicas=1", "-n", here.view.namespace)
        eventually(lambda: here.ready("llama") == 1, "one replica")
    assert traffic.failed == []
    assert traffic.answered > 20


def test_from_zero_and_back(here: Site) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 3, "scaleDownHoldSeconds": 1}
    here.view.apply(pool("llama", replicas=0, autoscaling=scaling))
    eventually(lambda: here.view.condition("llama", "Accepted")[0] == "True", "the pool to be accepted")
    eventually(lambda: here.router.metric("headgate_router_topology_version") > 0, "a topology")
    eventually(lambda: "llama" in here.router.get("/v1/models")[1], "the pool to be known")
    assert here.view.pods("llama") == []
    answer = here.ask("llama", timeout_s=60)
    assert answer["choices"][0]["message"]["content"]
    eventually(lambda: not here.view.pods("llama"), "the pool to go back to zero", 90)


def test_the_api_server_down_for_a_minute(own_cluster: Cluster, tmp_path: Path) -> None:
    own_cluster.add_nodes(1)
    with site(own_cluster, own_cluster.add_namespace("down"), tmp_path) as here:
        here.view.apply(pool("llama", replicas=2))
        eventually(lambda: here.ready("llama") == 2, "two replicas")
        with Traffic(here, "llama") as traffic:
            own_cluster.stop_api_server()
            began = time.monotonic()
            while time.monotonic() - began < API_DOWN_S:
                time.sleep(1)
            own_cluster.start_api_server()
            here.view.cluster.kubectl("scale", "modelpool/llama", "--replicas=3", "-n", "down")
            eventually(lambda: here.ready("llama") == 3, "the control plane to be back at work", 90)
        assert traffic.failed == []
        assert here.router.metric("headgate_router_topology_connected") == 1


def test_a_control_plane_that_is_away_changes_nothing_and_is_told(here: Site) -> None:
    here.view.apply(pool("llama", replicas=2))
    eventually(lambda: here.ready("llama") == 2, "two replicas")
    here.controller.kill()
    eventually(lambda: here.router.metric("headgate_router_topology_connected") == 0, "the router to tell")
    for _ in range(10):
        assert here.ask("llama")["choices"]
    assert here.ready("llama") == 2
