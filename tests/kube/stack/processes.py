"""The control plane and routers as processes of this machine, beside the test cluster; they end with the test."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.kube.cluster.programs import Program
from tests.kube.cluster.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
START_LIMIT_S = 60.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Daemon:
    """`python -m MODULE --config … --ready-file …`, once it is ready. `addresses` is what it wrote there."""

    def __init__(
        self, module: str, folder: Path, config: Mapping[str, Any], *arguments: str, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ready = folder / "ready.json"
        settings = folder / "config.yaml"
        settings.write_text(yaml.safe_dump(dict(config)))
        environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}", "PYTHONUNBUFFERED": "1", **(env or {})}
        line = ["/usr/bin/env", *(f"{name}={value}" for name, value in environment.items())]
        line += [sys.executable, "-m", module, "--config", str(settings), "--ready-file", str(self._ready), *arguments]
        self.program = Program(module, line, folder / "log")
        self.addresses: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, within_s: float = START_LIMIT_S) -> None:
        self.launch()
        eventually(self._is_ready, f"{self.program.name} to listen", within_s)

    def launch(self) -> None:
        """Starts it and does not wait."""
        self._ready.unlink(missing_ok=True)
        self.program.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.program.kill()

    def terminate(self) -> None:
        """SIGTERM to the process itself, as Kubernetes sends it."""
        os.kill(int(self.addresses["pid"]), 15)

    def log(self) -> str:
        return self.program.log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP GET."""
        try:
            with _OPENER.open(f"http://{self.addresses['http']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as fault:
            return fault.code, fault.read().decode()

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or the sum over all of them."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith((name + " ", name + "{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def _is_ready(self) -> bool:
        self.program.check()
        if not self._ready.exists():
            return False
        self.addresses = json.loads(self._ready.read_text())
        return True


def control_plane(folder: Path, kubeconfig: Path, namespaces: list[str], **config: Any) -> Daemon:
    """One replica of the control plane. Its lease is in the first namespace."""
    home = namespaces[0] if namespaces[0] != "*" else "default"
    settings = {"namespaces": namespaces, "listen": "127.0.0.1:0", "http": "127.0.0.1:0", **config}
    settings.setdefault("lease", {"duration_s": 8.0, "renew_s": 2.0, "retry_s": 0.3})
    settings["platform"] = {"worker_image": "headgate/worker:test", **settings.get("platform", {})}
    env = {"POD_NAME": folder.name, "POD_NAMESPACE": home}
    return Daemon("controlplane", folder, settings, "--kubeconfig", str(kubeconfig), env=env)


def router(folder: Path, topology: str, **config: Any) -> Daemon:
    """A router that knows the fleet from the control plane at `topology` alone."""
    settings = {"topology": {"address": topology}, "http": {"port": 0}, "grpc": {"port": 0}, **config}
    return Daemon("router", folder, settings, env={"POD_NAME": folder.name})
