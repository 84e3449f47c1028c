"""What the control plane costs at a size: ModelPools, their pods and their endpoints on a real API server.

    make bench NAME=controller_scale [ARGS="--pools 1000 --pods 10"]

etcd and the API server are real; pods and EndpointSlices are written by the bench in place of controllers, scheduler and
kubelets, which would take both cores. The control plane is a process of its own.

all at once      from the first ModelPool to the last status, when they come together
one change       a pool's engine settings change, one pool after the other: calls to the API server, and how long until the
                 Deployment has them
nothing to do    every pool is looked at again (a resync): no write may come of it
baseline         the same change counted as a controller would make it that applies every child and the status at each reconcile
"""

import argparse
import concurrent.futures
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench import report
from tests.kube.cluster import network
from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.waiting import eventually
from tests.kube.stack.pools import CRDS, View, pool
from tests.kube.stack.processes import Daemon, control_plane

NAMESPACE = "scale"
CHANGES = 30
CHILDREN = 4  # Deployment, Service, PodDisruptionBudget, ControllerRevision
API = "headgate.dev/v1alpha1"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The control plane at a size.")
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10, help="pods of each pool")
    given = parser.parse_args(arguments)
    network.enter()
    told = report.Report(
        "controller_scale", f"The control plane with {given.pools} pools and {given.pools * given.pods} pods", seed=0
    )
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.install_crds_from(CRDS)
        view = View(cluster, cluster.add_namespace(NAMESPACE))
        for name in ("kwok", "kube-scheduler", "kube-controller-manager"):
            cluster.programs[name].kill()
        with control_plane(Path(folder) / "controlplane", cluster.admin_kubeconfig, [NAMESPACE], resync_s=45.0) as controller:
            measure(told, view, controller, given.pools, given.pods)
    told.finish()
    return 0


def measure(told: report.Report, view: View, controller: Daemon, pools: int, pods: int) -> None:
    began_s = time.monotonic()
    each(range(pools), lambda number: create(view, f"/apis/{API}/namespaces/{NAMESPACE}/modelpools", pool(f"p{number}", pods)))
    eventually(lambda: len(view.all("Deployment")) == pools, "every Deployment", 600)
    eventually(lambda: quiet(controller), "the queue to be empty", 300)
    told.row("all at once", seconds=round(time.monotonic() - began_s, 1), calls_per_pool=round(calls(controller) / pools, 2))
    revisions = {
        one["metadata"]["name"]: one["metadata"]["annotations"]["headgate.dev/revision"] for one in view.all("Deployment")
    }
    each(range(pools), lambda number: populate(view, number, pods, revisions[f"p{number}"]))
    eventually(
        lambda: controller.metric("headgate_controlplane_objects") >= pools * (CHILDREN + pods + 2),
        "everything to be seen",
        300,
    )
    eventually(lambda: quiet(controller), "the queue to be empty", 300)
    resync(told, controller)
    change(told, view, controller)
    p99_ms = 1e3 * quantile(controller.get("/metrics")[1], 0.99)
    told.row(
        "every reconcile of this run",
        p99_ms_below=p99_ms,
        rss_mib=round(rss_mib(controller)),
        cpu_s=round(cpu_s(controller), 1),
    )


def resync(told: report.Report, controller: Daemon) -> None:
    """Waits for one that began after everything was there."""
    lists = len(re.findall("listed anew", controller.log()))
    writes = controller.metric("headgate_controlplane_writes_total")
    cpu_before_s = cpu_s(controller)
    eventually(lambda: len(re.findall("listed anew", controller.log())) > lists + 1, "a resync", 180)
    seconds = float(re.findall(r"listed anew in ([0-9.]+) s", controller.log())[-1])
    eventually(lambda: quiet(controller), "the queue to be empty", 300)
    wrote = controller.metric("headgate_controlplane_writes_total") - writes
    told.row("nothing to do", seconds=seconds, writes=int(wrote), cpu_s=round(cpu_s(controller) - cpu_before_s, 1))
    told.aim("writes", wrote, at_most=0)


def change(told: report.Report, view: View, controller: Daemon) -> None:
    """Lists are not counted: they belong to resyncs, not to changes."""
    eventually(lambda: quiet(controller), "the queue to be empty", 300)
    before, waits_ms = calls(controller), []
    for number in range(CHANGES):
        began_s = time.monotonic()
        body = {"spec": {"engine": {"args": {"max_running": 48}}}}
        view.cluster.rest(
            "PATCH", f"/apis/{API}/namespaces/{NAMESPACE}/modelpools/p{number}", body, "application/merge-patch+json"
        )
        eventually(lambda number=number: "48" in str(view.get("Deployment", f"p{number}")), "the change", 30)
        waits_ms.append(1e3 * (time.monotonic() - began_s))
    eventually(lambda: quiet(controller), "the queue to be empty", 300)
    per_change = (calls(controller) - before) / CHANGES
    told.row(
        "one change",
        calls_per_change=round(per_change, 2),
        p50_ms=round(statistics.median(waits_ms)),
        max_ms=round(max(waits_ms)),
    )
    reconciles = 2  # of the change, and of its own events
    baseline = reconciles * (CHILDREN + 1)
    told.row("baseline: applies all, always", calls_per_change=baseline)
    told.note(f"one change: {baseline / per_change:.1f} times fewer calls than the baseline, which is counted, not run")


def populate(view: View, number: int, pods: int, revision: str) -> None:
    """The pods of a pool, Ready, and their EndpointSlice."""
    name = f"p{number}"
    labels = {"headgate.dev/pool": name, "headgate.dev/revision": revision, "app.kubernetes.io/managed-by": "headgate"}
    entries = []
    for index in range(pods):
        ip = f"10.{100 + number // 250}.{number % 250}.{index + 1}"
        meta = {"name": f"{name}-{index}", "namespace": NAMESPACE, "labels": labels}
        spec = {"nodeName": "nowhere", "containers": [{"name": "worker", "image": "none"}]}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        create(view, path, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        status = {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]}}
        view.cluster.rest("PATCH", f"{path}/{meta['name']}/status", status, "application/merge-patch+json")
        target = {"kind": "Pod", "name": meta["name"], "namespace": NAMESPACE}
        entries.append({"addresses": [ip], "conditions": {"ready": True}, "targetRef": target})
    piece: dict[str, Any] = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    piece |= {"metadata": {"name": name, "labels": {**labels, "kubernetes.io/service-name": name}}, "endpoints": entries}
    create(
        view,
        f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices",
        {**piece, "ports": [{"name": "worker", "port": 7000}]},
    )


def create(view: View, path: str, body: dict[str, Any]) -> None:
    view.cluster.rest("POST", path, body)


def each(numbers: range, work: Any) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool_:
        for _ in pool_.map(work, numbers):
            pass


def quiet(controller: Daemon) -> bool:
    depth = controller.metric("headgate_controlplane_queue_depth") + controller.metric("headgate_controlplane_queue_busy")
    if depth:
        return False
    time.sleep(4.0)  # what was put off comes within this
    return controller.metric("headgate_controlplane_queue_depth") == 0


def calls(controller: Daemon) -> float:
    """Requests to the API server so far, but lists, which resyncs make."""
    lines = [
        line
        for line in controller.get("/metrics")[1].splitlines()
        if line.startswith("headgate_controlplane_api_requests_total{")
    ]
    counted = [line for line in lines if 'verb="list"' not in line and 'resource="leases"' not in line]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


def quantile(page: str, share: float) -> float:
    """The upper bound of the bucket of ModelPools' reconciles that holds this quantile."""
    buckets = re.findall(r'headgate_controlplane_reconcile_seconds_bucket\{kind="ModelPool",le="([^"]+)"\} ([0-9.]+)', page)
    total = float(buckets[-1][1])
    return next(float(bound) for bound, count in buckets if float(count) >= share * total)


def rss_mib(controller: Daemon) -> float:
    status = Path(f"/proc/{controller.addresses['pid']}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def cpu_s(controller: Daemon) -> float:
    fields = Path(f"/proc/{controller.addresses['pid']}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
