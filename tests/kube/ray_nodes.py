"""What a kubelet would do with the pods of RayClusters: a real Ray node for each, at the pod's own address.

The `ray start` that KubeRay has put into the pod decides what the node offers (`--resources`, `--num-cpus`); ports and folders
are ours, since all nodes share one machine. A pod that goes is ended as Kubernetes does it: preStop hook, then SIGTERM. The
sidecar with Ray's autoscaler does not run.
"""

import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from cli.supervision import warden
from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.rest import ApiError
from tests.kube.stack.processes import ROOT
from workers.probe import probe

_POLL_S = 0.3
_GRACE_S = 15
_KEPT = ("--num-cpus", "--resources")
_CLUSTER, _TYPE = "ray.io/cluster", "ray.io/node-type"
_ENVIRONMENT = {
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
    "PYTHONUNBUFFERED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}


class RayNodes:
    """Runs until left; nothing of Ray is left then, whatever happened."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._cluster, self._namespace, self._folder = cluster, namespace, folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._killed: set[str] = set()
        self._leaving: list[threading.Thread] = []
        self._heads: dict[str, str] = {}
        self._clusters_of: dict[str, str] = {}
        self._specs: dict[str, dict[str, Any]] = {}
        self._ports = itertools.count(20000, 10)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._temporary = tempfile.TemporaryDirectory(prefix="hg-ray-", dir="/tmp")  # Ray's socket paths must be short

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for process in self._processes.values():
            process.send_signal(signal.SIGQUIT)
            _ended(process)
        for thread in self._leaving:
            thread.join()
        self._temporary.cleanup()

    def kill(self, cluster: str) -> None:
        """All nodes of this RayCluster end at once; nobody starts them anew, and Kubernetes hears nothing of it."""
        for pod, of in self._clusters_of.items():
            if of == cluster and pod in self._processes:
                self._killed.add(pod)
                self._processes[pod].send_signal(signal.SIGQUIT)
                _ended(self._processes[pod])

    def _follow(self) -> None:
        while not self._stop.wait(_POLL_S):
            path = f"/api/v1/namespaces/{self._namespace}/pods?labelSelector={_CLUSTER}"
            try:
                pods = {pod["metadata"]["name"]: pod for pod in self._cluster.rest("GET", path)["items"]}
            except (ApiError, OSError):
                continue  # a kubelet goes on with what it has, too
            here = {name: pod for name, pod in pods.items() if "deletionTimestamp" not in pod["metadata"]}
            for name, pod in sorted(here.items(), key=lambda item: item[1]["metadata"]["labels"][_TYPE]):  # heads first
                ended = name in self._processes and self._processes[name].poll() is not None and name not in self._killed
                if (name not in self._processes or ended) and pod["status"].get("podIP"):
                    self._begin(name, pod)
            for name in [name for name in self._processes if name not in here]:
                thread = threading.Thread(target=self._end, args=(name, self._processes.pop(name)), daemon=True)
                self._leaving.append(thread)
                thread.start()
            self._tell_readiness(here)

    def _tell_readiness(self, pods: dict[str, dict[str, Any]]) -> None:
        """The readiness probe: a worker pod is ready where a replica answers at its port. kwok has said that all are."""
        for name, pod in pods.items():
            if "readinessProbe" not in (container := pod["spec"]["containers"][0]) or "grpc" not in container["readinessProbe"]:
                continue
            seen = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", ())}
            address = f"{pod['status'].get('podIP')}:{container['readinessProbe']['grpc']['port']}"
            ready = str(not probe(address, "", None, 1.0))
            if seen.get("Ready", ready) != ready:
                now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                told = [{"type": each, "status": ready, "lastTransitionTime": now} for each in ("Ready", "ContainersReady")]
                path = f"/api/v1/namespaces/{self._namespace}/pods/{name}/status"
                with contextlib.suppress(ApiError):  # it went meanwhile
                    self._cluster.rest(
                        "PATCH", path, {"status": {"conditions": told}}, "application/strategic-merge-patch+json"
                    )

    def _begin(self, name: str, pod: dict[str, Any]) -> None:
        labels, address = pod["metadata"]["labels"], pod["status"]["podIP"]
        cluster, is_head = labels[_CLUSTER], labels[_TYPE] == "head"
        if not is_head and cluster not in self._heads:
            return
        port = next(self._ports)
        own = ["--block", f"--node-ip-address={address}", f"--dashboard-agent-listen-port={port + 1}"]
        own += [f"--metrics-export-port={port + 2}", "--object-store-memory=100000000", "--disable-usage-stats"]
        own += [f"--temp-dir={self._temporary.name}/{port}"]  # in a common one two nodes may choose the same socket
        if is_head:
            self._heads[cluster] = f"{address}:{port}"
            own += ["--head", f"--port={port}", f"--dashboard-host={address}", f"--ray-client-server-port={port + 3}"]
            own += ["--include-dashboard=true"]
        else:
            own += [f"--address={self._heads[cluster]}"]
        self._specs[name], self._clusters_of[name] = pod, cluster
        with (self._folder / f"{name}.log").open("ab") as log:
            line = [sys.executable, "-I", "-S", warden.__file__, str(_GRACE_S), "ray", "start", *own, *_offered(pod)]
            self._processes[name] = subprocess.Popen(
                line, env=_environment(pod), stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        pod = self._specs[name]
        lifecycle = pod["spec"]["containers"][0].get("lifecycle") or {}
        if hook := lifecycle.get("preStop", {}).get("exec"):
            subprocess.run([sys.executable, *hook["command"][1:]], env=_environment(pod), timeout=60, check=False)
        process.terminate()
        _ended(process)


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.wait()
    if process.stdin is not None:  # the warden's lifeline
        process.stdin.close()


def _offered(pod: dict[str, Any]) -> list[str]:
    """What the pod's own `ray start` says of resources, read as its shell would."""
    words = shlex.split(pod["spec"]["containers"][0]["args"][0])
    return [word for word in words if word.partition("=")[0] in _KEPT]


def _environment(pod: dict[str, Any]) -> dict[str, str]:
    given = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0].get("env", ()) if "value" in entry}
    ours = {name: value for name, value in given.items() if name.startswith(("HEADGATE_", "RAY_AUTH_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **_ENVIRONMENT, **ours, "PATH": path, "POD_IP": pod["status"]["podIP"]}
