"""How the kubelet asks a worker whether it has started, is ready, and lives."""

from typing import Any

from controlplane.world import Platform

_START_BUDGET_S = 1800  # a large model that must be downloaded first
_EXEC_LIMIT_S = 10  # starting Python included


def readiness(platform: Platform, *, on_pod_ip: bool = False) -> dict[str, Any]:
    """In the endpoints or not. Routers also see for themselves, and sooner; this is for all others. `on_pod_ip`: the worker
    listens there alone."""
    if platform.tls_secret:
        command = _ask_pod_ip(platform) if on_pod_ip else _ask(platform)
        return {"exec": {"command": command}, "periodSeconds": 10, "timeoutSeconds": _EXEC_LIMIT_S, "failureThreshold": 2}
    return {"grpc": {"port": platform.worker_port}, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2}


def startup(platform: Platform) -> dict[str, Any]:
    """Nothing else is asked until the engine is ready once; without it in the budget the container starts anew."""
    period_s = 10 if platform.tls_secret else 2
    return {**readiness(platform), "periodSeconds": period_s, "failureThreshold": _START_BUDGET_S // period_s}


def liveness(platform: Platform) -> dict[str, Any]:
    """A worker whose engine breaks exits by itself; this finds one that no longer answers. Busy or draining is not dead."""
    grpc = {"grpc": {"port": platform.worker_port, "service": "live"}}
    asked = {"exec": {"command": [*_ask(platform), "--live"]}} if platform.tls_secret else grpc
    return {**asked, "periodSeconds": 20, "timeoutSeconds": _EXEC_LIMIT_S, "failureThreshold": 6}


def _ask(platform: Platform) -> list[str]:
    """The kubelet's own gRPC probe has no TLS."""
    return ["python", "-m", "workers.probe", "--address", f"127.0.0.1:{platform.worker_port}"]


def _ask_pod_ip(platform: Platform) -> list[str]:
    """By a shell, which alone knows variables here: Kubernetes replaces none in a probe."""
    return ["sh", "-c", f'exec python -m workers.probe --address "$POD_IP:{platform.worker_port}"']
