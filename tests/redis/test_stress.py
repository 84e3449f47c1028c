"""Eight router processes, 2,000 requests at once, routers and Redis killed: no hard budget is exceeded or left unused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


pytestmark = [pytest.mark.slow, pytest.mark.requires("redis")]


def stressed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """One run of tests/redis/stress.py in a process of its own; its figures are shown too."""
    command = [sys.executable, "-m", "tests.redis.stress", *options]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n{done.stdout}")
    assert "routers that failed" not in said, done.stderr
    for name in ("org", "team 0", "team 1", "team 2"):
        assert said[name]["over_nano"] == 0
        assert said[name]["unspent_share"] >= 0  # what Redis counts is within the budget too
        assert said[name]["lost_by_crashes_share"] >= 0  # and is never less than what was spent
        assert not said[name]["lost_record"]  # all that Redis had confirmed was still there
    # These two are what binds: the other teams' budgets are larger than what the organisation leaves them.
    assert said["org"]["unspent_share"] <= 0.02
    assert said["team 0"]["unspent_share"] <= 0.02
    return said


def test_no_hard_budget_is_exceeded_whatever_dies(capsys: pytest.CaptureFixture[str]) -> None:
    said = stressed(capsys, "--seconds=60")
    assert said["routers that died"] >= 10
    assert said["redis killed"] == 4


def test_while_only_redis_dies_each_nano_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    said = stressed(capsys, "--seconds=60", "--crash=0", "--kills=0", "--restarts=5")
    assert said["redis killed"] == 5
    for name in ("org", "team 0", "team 1", "team 2"):
        assert said[name]["lost_by_crashes_share"] == 0
