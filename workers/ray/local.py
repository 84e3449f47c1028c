"""`python -m workers.ray.local --config FILE`: a Ray of this machine's own, with one Serve application for each worker.

Nothing of it is shared with another Ray here: its ports and its folder are its own, and it asks for a token that dies with it.
Each worker tells where it listens in its own `ready_file`. SIGTERM or Ctrl-C drains the workers and ends Ray; exit 0. Exit 2:
bad settings. Whatever is left after a kill -9 of this process is for its supervisor to end: Ray starts processes in plenty.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from workers.config import Strict, WorkerConfig
from workers.ray.placement import NODE_RESOURCE, RayArguments

_LOOK_EVERY_S = 1.0
_OBJECT_STORE_BYTES = 100_000_000  # no prompt and no answer passes through it
# Ray puts Unix sockets below its folder, and the kernel allows a socket's path 107 bytes.
_LONGEST_FOLDER = 40
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    # Which GPUs a worker sees is for its own environment to say, as without Ray.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # One line of a worker is one line of ours, uncoloured.
    "RAY_COLOR_PREFIX": "0",
    "RAY_DEDUP_LOGS": "0",
}


class LocalWorker(Strict):
    """One worker; `env` on top of ours."""

    config: WorkerConfig
    env: dict[str, str] = Field(default_factory=dict)


class LocalRay(Strict):
    """The settings: workers by their application's name. `ready_file` appears once all of them are deployed, ready or not."""

    workers: dict[str, LocalWorker] = Field(min_length=1)
    ready_file: Path


def run(settings: LocalRay, folder: Path, ended: threading.Event) -> None:
    """Runs until `ended`. Blocks."""
    os.environ |= ENVIRONMENT | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray  # only now: it reads the environment at import
    from ray import serve

    from workers.ray_app import app

    count = len(settings.workers)
    ray.init(
        address="local",  # whatever RAY_ADDRESS says
        include_dashboard=False,
        num_cpus=count,
        resources={NODE_RESOURCE: count},
        object_store_memory=_OBJECT_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
    )
    _hear(ended)  # again: Ray took the signals for itself
    try:
        serve.start(proxy_location="Disabled")
        targets = [
            serve.RunTarget(app(RayArguments(config=worker.config, env=worker.env)), name=name, route_prefix=None)
            for name, worker in settings.workers.items()
        ]
        serve.run_many(targets, wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
        _write(settings.ready_file, {"pid": os.getpid()})
        _tell_changes(ended)
        serve.shutdown()
    finally:
        ray.shutdown()


def _hear(ended: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())


def _tell_changes(ended: threading.Event) -> None:
    """Says how the applications stand whenever that changed."""
    from ray import serve

    told: dict[str, str] = {}
    while not ended.wait(_LOOK_EVERY_S):
        now = {name: f"{each.status.value} {each.message}".strip() for name, each in serve.status().applications.items()}
        for name, text in now.items():
            if told.get(name) != text:
                sys.stderr.write(f"{name}: {text}\n")
        told = now


def _write(path: Path, content: dict[str, object]) -> None:
    """All or nothing: whoever sees the file sees all of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(content))
    fresh.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m workers.ray.local", description="Headgate workers on a Ray of this machine."
    )
    parser.add_argument("--config", type=Path, required=True, help="settings, YAML (docs: workers/ray/local.py)")
    given = parser.parse_args(arguments)
    try:
        settings = LocalRay.model_validate(yaml.safe_load(given.config.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as fault:
        sys.stderr.write(f"headgate ray: {given.config}: {fault}\n")
        return 2
    ended = threading.Event()
    _hear(ended)
    usual = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="hg-ray-", dir=usual if len(usual) < _LONGEST_FOLDER - 16 else "/tmp") as folder:  # noqa: S108
        run(settings, Path(folder), ended)
    settings.ready_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
