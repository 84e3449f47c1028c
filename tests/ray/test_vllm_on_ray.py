"""Real vLLM in a Serve replica, beside a simulated worker, behind the real router."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.test_kill_vllm import engine
from tests.chaos.test_kill_worker import asks, check
from tests.cli.stack_process import StackProcess, alive, below, pool, running, until
from tests.ray.ray_stack import answered, kill, name_of, pids

pytestmark = [pytest.mark.vllm, pytest.mark.requires("ray"), pytest.mark.slow, pytest.mark.timeout(900)]

PARIS = {"model": "real", **asks("What is the capital of France?", max_tokens=40)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Iterator[StackProcess]:
    pools = (pool("real", engine=engine(smollm2)), pool("simulated", tier="large"))
    router = {"failover": {"wait_s": 240.0}}
    with running(tmp_path_factory.mktemp("ray"), *pools, on="ray", router=router) as started:
        yield started


async def test_both_answer_and_the_model_knows_its_capital(stack: StackProcess) -> None:
    real = await answered(stack, PARIS)
    assert "Paris" in real.text[0]
    assert real.headgate["simulated"] is False
    simulated = await answered(stack, {"model": "simulated", **asks("What is the capital of France?")})
    assert simulated.headgate["simulated"] is True


async def test_vllm_killed_in_mid_answer_goes_on_when_serve_has_started_it_anew(stack: StackProcess) -> None:
    story = {"model": "real", **asks("Tell me a short story about a river and a gate.", max_tokens=60)}
    whole = await answered(stack, story)
    engines = {pid for pid in below(pids(stack)["real-0"]) if alive(pid)}
    heard = await answered(stack, story, 10, lambda replica: kill(stack, replica))
    check("killed vLLM actor", whole, heard)
    assert heard.headgate["resumed"] == 1
    until(lambda: not any(map(alive, engines)))  # vLLM's own processes went with the actor
    assert name_of(pids(stack)["real-0"]).startswith("ray::ServeReplica:real-0")
