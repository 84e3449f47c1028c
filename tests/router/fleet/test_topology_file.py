import json
from dataclasses import replace

import pytest

from router.fleet.policy_file import CascadeEntry
from router.fleet.specs import HostingSpec, PolicySpec, PoolSpec, ReplicaSpec, TenantSpec, Topology, TopologyRefused
from router.fleet.topology_file import HostingEntry, parse
from router.snapshot import Prices
from tests.router.fleet import test_topology_wire

DIGEST = "0123456789abcdef" * 4

WHOLE = f"""
version: 3
pools:
  - name: small
    tier: small
    models: [smollm2, tiny]
    prices: {{input_usd_per_mtok: 1, cached_input_usd_per_mtok: 0.1, output_usd_per_mtok: 2.5}}
    replicas:
      - {{id: small-0, address: "127.0.0.1:7001"}}
      - {{id: small-1, address: "worker-1:7001", draining: true}}
tenants:
  - {{name: acme, key_sha256: [{DIGEST}], pools: [small]}}
"""

TOPOLOGY = Topology(
    pools=(
        PoolSpec(
            name="small",
            tier="small",
            models=("smollm2", "tiny"),
            prices=Prices(1.0, 0.1, 2.5),
            replicas=(ReplicaSpec("small-0", "127.0.0.1:7001"), ReplicaSpec("small-1", "worker-1:7001", draining=True)),
        ),
    ),
    tenants=(TenantSpec("acme", (bytes.fromhex(DIGEST),), ("small",)),),
    version=3,
)


def test_yaml_and_json_say_the_same() -> None:
    import yaml

    assert parse(WHOLE) == TOPOLOGY
    assert parse(json.dumps(yaml.safe_load(WHOLE)).encode()) == TOPOLOGY


def test_what_may_be_left_out() -> None:
    pool = PoolSpec("a", "moe", ("m",), Prices(), ())
    assert parse("pools: [{name: a, tier: moe, models: [m]}]") == Topology((pool,))
    assert parse("pools: []") == Topology(())
    hosted = replace(pool, hosting=HostingSpec(usd_per_hour=4.0))
    assert parse("pools: [{name: a, tier: moe, models: [m], hosting: {usd_per_hour: 4}}]") == Topology((hosted,))
    assert parse("pools: []\npolicies: [{name: p, weights: {}}]").policies == (PolicySpec("p"),)


def test_the_keys_are_those_of_the_wire() -> None:
    """A snapshot in protobuf's own JSON, but for the digests, is a valid file, and says the same."""
    from google.protobuf.json_format import MessageToDict

    document = MessageToDict(
        test_topology_wire.WHOLE, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    document["version"] = int(document["version"])  # JSON has no 64-bit integers
    document["tenants"][0]["key_sha256"] = ["00" * 32]
    assert document["policies"][0]["cascade"].keys() == CascadeEntry.model_fields.keys()
    assert document["pools"][0]["hosting"].keys() == HostingEntry.model_fields.keys()
    assert parse(json.dumps(document)) == test_topology_wire.TOPOLOGY


POOL = "{name: a, tier: small, models: [m]"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("", "(top): "),
        ("[]", "(top): "),
        ("pools: [", "line 1: not YAML: "),
        ("pools: \x00", "not YAML: "),
        ("version: 2026-13-45", "not YAML: "),
        ("[" * 1200, "not YAML: "),
        (b"pools: \xff", "not YAML: "),
        ("tenants: []", "pools: Field required"),
        ("pools: []\npool: []", "pool: Extra inputs are not permitted"),
        ("pools: []\nversion: -1", "version: "),
        ("pools: [{name: a, tier: tiny, models: [m]}]", "pools[0].tier: Input should be 'small', 'large' or 'moe'"),
        ("pools: [{name: 5, tier: small, models: [m]}]", "pools[0].name: "),
        ("pools: [{name: a, tier: small, models: []}]", "pools[0].models: "),
        (f"pools: [{POOL}, prices: {{input_usd_per_mtok: .nan}}}}]", "pools[0].prices.input_usd_per_mtok: "),
        (f"pools: [{POOL}, prices: {{input: 1}}}}]", "pools[0].prices.input: Extra inputs are not permitted"),
        (f"pools: [{POOL}, replicas: [{{id: r}}]}}]", "pools[0].replicas[0].address: Field required"),
        (f"pools: [{POOL}, replicas: [{{id: r, address: 'h:1', draining: 3}}]}}]", "pools[0].replicas[0].draining: "),
        (f"pools: [{POOL}, role: both}}]", "pools[0].role: Input should be 'aggregated', 'prefill' or 'decode'"),
        (f"pools: [{POOL}, cold_start_wait_s: -1}}]", "pools[0].cold_start_wait_s: "),
        (f"pools: [{POOL}, hosting: {{pue: 0.9}}}}]", "pools[0].hosting.pue: Input should be greater than or equal to 1"),
        (f"pools: [{POOL}, hosting: {{power_w: -1}}}}]", "pools[0].hosting.power_w: "),
        (f"pools: [{POOL}, hosting: {{usd_per_hour: .inf}}}}]", "pools[0].hosting.usd_per_hour: "),
        (f"pools: [{POOL}, hosting: {{usd: 1}}}}]", "pools[0].hosting.usd: Extra inputs are not permitted"),
        (f"pools: []\ntenants: [{{name: t, key_sha256: [{DIGEST}], weight: 0}}]", "tenants[0].weight: "),
        ("pools: []\npolicies: [{name: p, strategy: luck}]", "policies[0].strategy: "),
        ("pools: []\npolicies: [{name: p, canaries: [{pool: a, percent: 101}]}]", "policies[0].canaries[0].percent: "),
        ("pools: []\npolicies: [{name: p, cascade: {pools: [a]}}]", "policies[0].cascade.pools: "),
        ("pools: []\npolicies: [{name: p, cascade: {pools: [a, b], samples: 17}}]", "policies[0].cascade.samples: "),
        ("pools: []\npolicies: [{name: p, cascade: {pools: [a, b], evidence: mood}}]", "policies[0].cascade.evidence: "),
        ("pools: []\npolicies: [{name: p, explore_share: 1.5}]", "policies[0].explore_share: "),
        ("pools: []\npolicies: [{name: p, weights: {water: -1}}]", "policies[0].weights.water: "),
        ("pools: []\ntenants: [{name: t}]", "tenants[0].key_sha256: Field required"),
        ("pools: []\ntenants: [{name: t, key_sha256: []}]", "tenants[0].key_sha256: "),
    ],
)
def test_faults_are_named_by_the_path_of_their_key(document: str | bytes, fault: str) -> None:
    with pytest.raises(TopologyRefused) as refused:
        parse(document)
    assert str(refused.value).startswith(fault)


def test_a_key_given_in_clear_is_refused_and_never_repeated() -> None:
    with pytest.raises(TopologyRefused) as refused:
        parse("pools: []\ntenants: [{name: t, key_sha256: [sk-very-secret]}]")
    assert "tenants[0].key_sha256[0]: " in str(refused.value)
    assert "64 hex digits" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_every_fault_is_named() -> None:
    with pytest.raises(TopologyRefused) as refused:
        parse("pools: [{name: '', tier: x, models: []}]")
    assert len(str(refused.value).splitlines()) == 3
