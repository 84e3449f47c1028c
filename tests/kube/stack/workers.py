"""What a kubelet would do, as far as tests need it: for each pod of a pool, the worker that its spec describes runs on this
machine, at the pod's own address. Pods that go are terminated as Kubernetes does it.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.rest import ApiError
from tests.kube.stack.processes import ROOT

POLL_S = 0.2


class Workers:
    """Runs until left. `processes` by pod name; `kill` one to see what happens."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def kill(self, pod: str) -> None:
        """SIGKILL to the worker; the pod stays as it is, and nobody starts the worker anew."""
        self.processes[pod].send_signal(signal.SIGKILL)
        self.processes[pod].wait()

    def _follow(self) -> None:
        while not self._stop.wait(POLL_S):
            path = f"/api/v1/namespaces/{self._namespace}/pods?labelSelector=headgate.dev/pool"
            try:
                pods = {pod["metadata"]["name"]: pod for pod in self._cluster.rest("GET", path)["items"]}
            except (ApiError, OSError):
                continue  # a kubelet goes on with what it has, too
            for name, pod in pods.items():
                leaving = "deletionTimestamp" in pod["metadata"]
                if name not in self.processes and pod["status"].get("podIP") and not leaving:
                    self.processes[name] = self._start(name, pod)
                elif leaving and name in self.processes:
                    self.processes[name].terminate()
            for name in self.processes.keys() - pods.keys():
                self.processes[name].terminate()

    def _start(self, name: str, pod: dict[str, Any]) -> subprocess.Popen[bytes]:
        given = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0].get("env", ())}
        env = {**os.environ, **given, "POD_IP": pod["status"]["podIP"], "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
        with (self._folder / f"{name}.log").open("wb") as log:
            line = [sys.executable, "-m", "workers", "--listen", f"{pod['status']['podIP']}:7000"]
            return subprocess.Popen(line, env=env, stdout=log, stderr=log)
