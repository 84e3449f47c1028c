"""`headgate up --on ray`: a real Ray on this machine, its workers behind the real router, broken and stopped."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.errors import CommandError
from cli.stack import on_ray
from tests.chaos.test_kill_worker import asks, check
from tests.cli.stack_process import LIMIT_S, StackProcess, alive, below, pool, running, until
from tests.ray.ray_stack import answered, kill, name_of, pids, until_up

pytestmark = [pytest.mark.requires("ray"), pytest.mark.slow]

PACED = {"kind": "simulated", "profile": {"base_s": 0.02}}
BREAKS_SOON = {**PACED, "failures": {"fail_after_tokens": 40}}
# Nothing answers there. A Ray that somebody else runs here is none of our business, so this must change nothing.
OTHER_RAY = {"RAY_ADDRESS": "127.0.0.1:1"}
LONG: dict[str, Any] = {"model": "small", **asks("Tell me about rivers.", max_tokens=100, ignore_eos=True)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackProcess]:
    pools = (pool(engine=PACED, replicas=2), pool("weak", engine=BREAKS_SOON))
    with running(tmp_path_factory.mktemp("ray"), *pools, on="ray", variables=OTHER_RAY) as started:
        started.ready()
        yield started


def test_it_answers_and_says_that_it_runs_on_ray(stack: StackProcess) -> None:
    assert stack.chat()["choices"][0]["message"]["content"].startswith("[simulated]")
    assert "; workers on Ray; Ctrl-C ends it" in stack.log
    until(lambda: len(pids(stack)) == 3)
    assert {name_of(pid).split(":worker")[0] for pid in pids(stack).values()} == {
        f"ray::ServeReplica:{replica}" for replica in ("small-0", "small-1", "weak-0")
    }


async def test_an_actor_killed_in_mid_answer_is_not_seen_in_it_and_comes_back(stack: StackProcess) -> None:
    whole = await answered(stack, LONG)
    before = pids(stack)
    heard = await answered(stack, LONG, 30, lambda replica: kill(stack, replica))
    check("killed actor", whole, heard)
    assert heard.headgate["resumed"] == 1
    until_up(stack, 3, before)
    until(lambda: "small 2/2" in last_status(stack))
    check("afterwards", whole, await answered(stack, LONG))


def last_status(stack: StackProcess) -> str:
    return [line for line in stack.log.splitlines() if line.startswith("[headgate]") and "small " in line][-1]


async def test_a_replica_whose_engine_broke_is_replaced(stack: StackProcess) -> None:
    """It is the only one of its pool, so the answer waits for its successor and goes on there."""
    before = pids(stack)["weak-0"]
    heard = await answered(stack, {**LONG, "model": "weak", "max_tokens": 60})
    assert heard.error is None
    assert heard.usage["completion_tokens"] == 60
    assert heard.headgate["resumed"] >= 1  # the dying replica may be tried once more
    assert pids(stack)["weak-0"] != before


def test_ctrl_c_ends_everything_in_order(tmp_path: Path) -> None:
    with running(tmp_path, pool(), on="ray") as stack:
        stack.ready()
        everything = below(stack.process.pid)
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(LIMIT_S) == 0
        until(lambda: not any(map(alive, everything)))
        assert "ended by" not in stack.log
        assert not list(tmp_path.glob("headgate-*"))


def test_killed_with_9_it_takes_ray_along(tmp_path: Path) -> None:
    with running(tmp_path, pool(), on="ray") as stack:
        stack.ready()
        everything = below(stack.process.pid)
        assert sum("ray" in name_of(pid) for pid in everything) > 5
        stack.process.kill()
        stack.process.wait(LIMIT_S)
        until(lambda: not any(map(alive, everything)))


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="Ray, which is not installed here") as caught:
        on_ray.check_ray()
    assert "make ray" in str(caught.value)
