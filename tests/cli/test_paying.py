"""Money in headgate.yaml: what is written for the router is what the router takes, and every mistake is named."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from cli.errors import CommandError
from cli.stack.config import load
from cli.stack.documents import topology_document
from router.admission.keys import Keyring
from router.errors import Unauthenticated
from router.fleet.checks import check
from router.fleet.specs import BudgetSpec, CanarySpec, CascadeSpec, HostingSpec, PolicyWeights
from router.fleet.topology_file import parse

POOL = {"name": "small", "tier": "small", "models": ["m"], "engine": {"kind": "simulated"}}
LARGE = {"name": "large", "tier": "large", "models": ["l"], "engine": {"kind": "simulated"}}
KEY = [f"{7:064x}"]
WHOLE: dict[str, Any] = {
    "pools": [
        {**POOL, "hosting": {"usd_per_hour": 4, "power_w": 700, "pue": 1.2}, "ttft_ms": 500, "tpot_ms": 40},
        LARGE,
    ],
    "tenants": [
        {"name": "org", "budget": {"usd": 100, "window": "month", "hard": True}},
        {"name": "team", "parent": "org", "key_sha256": KEY, "policy": "thrifty", "budget": {"usd": 5.5}},
    ],
    "policies": [
        {
            "name": "thrifty",
            "strategy": "qualityFloor",
            "quality_floor": 0.7,
            "weights": {"cost": 0.3, "water": 0.1},
            "cascade": {"pools": ["small", "large"], "evidence": "agreement", "samples": 5},
            "canaries": [{"pool": "large", "percent": 5}],
            "explore_share": 0.02,
        }
    ],
}


def written(folder: Path, document: Any) -> Path:
    file = folder / "headgate.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_router_takes_what_is_written(tmp_path: Path) -> None:
    topology = parse(orjson.dumps(topology_document(load(written(tmp_path, WHOLE)), {}, 1)))
    check(topology)
    small, large = topology.pools
    assert small.hosting == HostingSpec(usd_per_hour=4, power_w=700, pue=1.2)
    assert (small.ttft_ms, small.tpot_ms, large.hosting) == (500, 40, None)
    org, team = topology.tenants
    assert org.budget == BudgetSpec(100, "month", hard=True)
    assert (team.parent, team.policy, team.budget) == ("org", "thrifty", BudgetSpec(5.5))
    (policy,) = topology.policies
    assert (policy.strategy, policy.quality_floor, policy.explore_share) == ("qualityFloor", 0.7, 0.02)
    assert policy.weights == PolicyWeights(cost=0.3, water=0.1)  # what is left out has the router's own weight
    assert policy.cascade == CascadeSpec(("small", "large"), evidence="agreement", samples=5)
    assert policy.canaries == (CanarySpec("large", 5),)


def test_nobody_is_a_tenant_that_is_only_a_parent(tmp_path: Path) -> None:
    ring = Keyring(parse(orjson.dumps(topology_document(load(written(tmp_path, WHOLE)), {}, 1))).tenants)
    for bearer in ("", "org", "0" * 64):
        with pytest.raises(Unauthenticated):
            ring.tenant_for(bearer)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "parent": ({"tenants": [{"name": "a", "key_sha256": KEY, "parent": "b"}]}, "tenants.0.parent: no tenant is called 'b'"),
    "circle": (
        {"tenants": [{"name": "a", "key_sha256": KEY, "parent": "b"}, {"name": "b", "parent": "a"}]},
        "tenants.0.parent: 'a' would be above itself",
    ),
    "itself": ({"tenants": [{"name": "a", "key_sha256": KEY, "parent": "a"}]}, "'a' would be above itself"),
    "no key": ({"tenants": [{"name": "a"}]}, "tenants.0.key_sha256: is needed"),
    "policy": ({"tenants": [{"name": "a", "key_sha256": KEY, "policy": "x"}]}, "tenants.0.policy: no policy is called 'x'"),
    "window": (
        {"tenants": [{"name": "a", "key_sha256": KEY, "budget": {"usd": 1, "hard": True}}]},
        "tenants.0.budget.window: is needed for a hard budget",
    ),
    "amount": ({"tenants": [{"name": "a", "key_sha256": KEY, "budget": {"usd": -1}}]}, "tenants.0.budget.usd:"),
    "year": ({"tenants": [{"name": "a", "key_sha256": KEY, "budget": {"usd": 1, "window": "year"}}]}, "budget.window:"),
    "pue": ({"pools": [{**POOL, "hosting": {"pue": 0.5}}]}, "pools.0.hosting.pue:"),
    "twice": ({"policies": [{"name": "p"}, {"name": "p"}]}, "policies.1.name: another policy is called 'p'"),
    "canary": ({"policies": [{"name": "p", "canaries": [{"pool": "x", "percent": 1}]}]}, "policies.0.canaries.0.pool: no pool"),
    "typo": ({"policies": [{"name": "p", "stratgy": "fixed"}]}, "unknown key: did you mean 'strategy'?"),
}


@pytest.mark.parametrize(("changes", "says"), FAULTS.values(), ids=FAULTS.keys())
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError) as fault:
        load(written(tmp_path, {"pools": [POOL], **changes}))
    assert says in str(fault.value)
