"""Fixtures for tests on a real Kubernetes control plane (tests/kube/cluster). Each such test says `requires("kube")`."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kube.cluster import network
from tests.kube.cluster.cluster import Cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def own_network() -> None:
    """This process, and all it starts from now on, in a network where 10.0.0.0/8 is local."""
    network.enter()


@pytest.fixture(scope="session")
def cluster(own_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the whole session, with the nodes gpu-0, gpu-1 and gpu-2 of 8 GPUs each. Leave it as you found it."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.add_nodes(3)
        yield running


@pytest.fixture
def own_cluster(own_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for this test alone, to be broken. No nodes."""
    with Cluster(tmp_path_factory.mktemp("own-cluster")) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace of `cluster`; its deletion is asked for, not waited for."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    name = cluster.add_namespace(f"t{next(_numbers)}-{words[:40].strip('-')}")
    yield name
    cluster.rest("DELETE", f"/api/v1/namespaces/{name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        for used in getattr(item, "funcargs", {}).values():
            if isinstance(used, Cluster):
                report.sections.append(("test cluster", used.describe()))
    return report
