"""The command of the release's own Redis, run for real: a server that takes these settings, and keeps what it confirmed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from cli.stack.redis_program import redis_program
from tests.helm.chart import render

pytestmark = pytest.mark.requires("helm", "redis")

PASSWORD = "aB3" * 10 + "xy"  # as Helm makes them: 32 letters and digits


@contextmanager
def served(folder: Path) -> Iterator[redis.Redis]:
    """The container's command with the pod's password; data and socket in a folder of this machine. Killed at the end."""
    container = render().container("StatefulSet", "redis")
    stand_in = folder / "bin" / "valkey-server"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f'#!/bin/sh\nexec "{redis_program()}" "$@" --dir {folder} --port 0 --unixsocket {folder}/socket\n')
    stand_in.chmod(0o755)
    (folder / "script").write_text(container["args"][0].replace("dir /data\n", ""))
    env = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}", "REDIS_PASSWORD": PASSWORD}
    command = [*container["command"], (folder / "script").read_text()]
    with subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL) as process:
        retry = Retry(ConstantBackoff(0.05), 400, supported_errors=(redis.ConnectionError,))
        try:
            with redis.Redis(unix_socket_path=f"{folder}/socket", password=PASSWORD, retry=retry, decode_responses=True) as one:
                yield one
        finally:
            process.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hg-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    yield made
    shutil.rmtree(made)


def test_a_server_takes_the_settings_and_forgets_nothing_that_it_confirmed(folder: Path) -> None:
    with served(folder) as client:
        wanted = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction"}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        client.set("spent", "12.50")
    with served(folder) as client:
        assert client.get("spent") == "12.50"


def test_nobody_gets_in_without_the_password(folder: Path) -> None:
    with served(folder) as client:
        client.ping()
        stranger = redis.Redis(unix_socket_path=f"{folder}/socket", retry=Retry(NoBackoff(), 0))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
