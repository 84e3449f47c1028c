"""What `headgate up` writes for its programs is what they accept."""

from pathlib import Path

import pytest
import yaml

from cli.stack.config import Stack, load
from cli.stack.documents import router_document, topology_document, worker_document, worker_environment
from router.config import RouterConfig
from workers.config import WorkerConfig

SETTINGS = """
router: {drain_s: 7, picking: {picker: {name: two_choices}}}
pools:
  - name: small
    tier: small
    models: [m, also-m]
    prices: {output_usd_per_mtok: 2}
    replicas: 2
    engine: {kind: vllm, model: weights, max_model_len: 512}
    env: {OMP_NUM_THREADS: "9"}
  - {name: far, tier: large, models: [f], addresses: ["10.0.0.1:9", "10.0.0.2:9"]}
  - {name: fake, tier: moe, models: [x], engine: {kind: simulated}}
tenants: [{name: team, key_sha256: ["%064d"], pools: [small]}]
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    (tmp_path / "weights").mkdir()
    file = tmp_path / "headgate.yaml"
    file.write_text(SETTINGS % 0)
    return load(file)


def test_the_worker_takes_its_document(stack: Stack, tmp_path: Path) -> None:
    pool = stack.pools[0]
    document = yaml.safe_load(yaml.safe_dump(worker_document(stack, pool, pool.replicas[0], tmp_path / "ready")))
    config = WorkerConfig.model_validate(document)
    assert config.engine == pool.replicas[0].engine
    assert config.engine.model_fields_set >= {"model", "max_model_len"}
    assert "enforce_eager" not in config.engine.model_fields_set  # what is not said stays the worker's choice
    assert (config.models, config.listen, config.exit_with_parent) == (("m", "also-m"), "127.0.0.1:0", True)


def test_the_router_takes_its_document(stack: Stack, tmp_path: Path) -> None:
    document = yaml.safe_load(yaml.safe_dump(router_document(stack.on_ports(1, None), tmp_path / "topology.json")))
    config = RouterConfig.model_validate(document)
    assert (config.http.port, config.grpc.port, config.drain_s) == (1, 50051, 7)
    assert config.picking.picker.name == "two_choices"
    assert config.topology.file == tmp_path / "topology.json"


def test_only_workers_that_serve_are_in_the_topology(stack: Stack) -> None:
    small, far, fake = topology_document(stack, {"small-1": "127.0.0.1:5"}, 3)["pools"]
    assert small["replicas"] == [{"id": "small-1", "address": "127.0.0.1:5"}]
    assert small["prices"]["output_usd_per_mtok"] == 2
    assert [replica["address"] for replica in far["replicas"]] == ["10.0.0.1:9", "10.0.0.2:9"]
    assert fake["replicas"] == []


def test_tenants_travel_with_the_topology(stack: Stack) -> None:
    document = topology_document(stack, {}, 3)
    assert document["tenants"] == [{"name": "team", "key_sha256": ["0" * 64], "pools": ["small"]}]
    assert document["version"] == 3


def test_engines_share_the_cores(stack: Stack) -> None:
    small, _, fake = stack.pools
    given = worker_environment(stack, small.replicas[0], 8, {})
    assert (given["VLLM_CPU_OMP_THREADS_BIND"], given["HF_HUB_OFFLINE"]) == ("nobind", "1")
    assert given["OMP_NUM_THREADS"] == "9"  # the file's own word
    assert worker_environment(stack, fake.replicas[0], 8, {})["OMP_NUM_THREADS"] == "1"


def test_what_the_user_has_set_outside_stays(stack: Stack) -> None:
    given = worker_environment(stack, stack.pools[0].replicas[0], 8, {"VLLM_LOGGING_LEVEL": "DEBUG"})
    assert "VLLM_LOGGING_LEVEL" not in given
