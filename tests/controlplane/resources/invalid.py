"""Objects that must be refused: what is changed of a valid one, the field at fault, and a regex that the message must match.

The table is used twice: against the classes, and against a real API server.
"""

from dataclasses import dataclass
from typing import Any

from tests.controlplane.resources.samples import ABSENT, DIGEST, FULL, MINIMAL, changed, wrapped


@dataclass(frozen=True)
class Case:
    kind: str
    changes: dict[str, Any]
    path: str
    words: str
    name: str = "sample"
    full: bool = False

    def __str__(self) -> str:
        return f"{self.kind}-{self.path}-{self.words}"

    @property
    def object(self) -> dict[str, Any]:
        base = FULL if self.full else MINIMAL
        return wrapped(self.kind, changed(base[self.kind], self.changes), self.name)


def _pool(path: str, words: str, changes: dict[str, Any], *, full: bool = False, name: str = "sample") -> Case:
    return Case("ModelPool", changes, path, words, name, full)


def _tenant(path: str, words: str, changes: dict[str, Any], name: str = "sample") -> Case:
    return Case("Tenant", changes, path, words, name)


def _policy(path: str, words: str, changes: dict[str, Any], name: str = "sample") -> Case:
    return Case("RoutingPolicy", changes, path, words, name)


_ONE_ENV = {"name": "A", "value": "1"}

CASES = (
    # Names
    _pool("metadata.name", "not be auto", {}, name="auto"),
    _pool("metadata.name", "begin with a letter", {}, name="7b"),
    _pool("metadata.name", "at most 50", {}, name="a" * 51),
    _pool("metadata.name", "begin with a letter", {}, name="a.b"),
    _tenant("metadata.name", "DNS label", {}, name="a.b"),
    _policy("metadata.name", "at most 63", {}, name="a" * 64),
    # What is missing, unknown or of the wrong type
    _pool("spec.model", "Required", {"model": ABSENT}),
    _pool("spec.model.name", "Required", {"model.name": ABSENT}),
    _pool("spec.tier", "Required", {"tier": None}),
    _pool("spec.speculation.numSpeculativeTokens", "Required", {"speculation": {"method": "ngram"}}),
    _pool("spec.engin", "unknown field", {"engin": {}}),
    _pool("spec.hardware.gpuz", "unknown field", {"hardware.gpuz": 1}),
    _pool("spec.coldStart.wait_seconds", "unknown field", {"coldStart.wait_seconds": 1}),
    _tenant("spec.budget.usd", "Required", {"budget": {}}),
    _tenant("spec.name", "unknown field", {"name": "x"}),
    _policy("spec.canaries[0].weight", "unknown field", {"canaries": [{"pool": "a", "percent": 1, "weight": 2}]}),
    _pool("spec.replicas", "integer", {"replicas": "3"}),
    _pool("spec.inferencePool", "boolean", {"inferencePool": "yes"}),
    _pool("spec.prices.outputUsdPerMtok", "number", {"prices.outputUsdPerMtok": "1.5"}),
    _pool("spec.model.aliases", "list|array", {"model.aliases": "x"}),
    _pool("spec.engine", "object|dictionary", {"engine": "vllm"}),
    _pool("spec.engine.args", "object|dictionary", {"engine.args": ["--seed"]}),
    # Single fields
    _pool("spec.tier", "moe", {"tier": "huge"}),
    _pool("spec.runtime", "RayService", {"runtime": "StatefulSet"}),
    _pool("spec.model.name", "match", {"model.name": "two words"}),
    _pool("spec.model.name", "match", {"model.name": "no\u00a0break"}),
    _pool("spec.model.name", "253", {"model.name": "x" * 254}),
    _pool("spec.model.source", "at least 1 char", {"model.source": ""}),
    _pool("spec.model.aliases", "16 items", {"model.aliases": [f"a{n}" for n in range(17)]}),
    _pool("spec.model.aliases[1]", "Duplicate", {"model.aliases": ["a", "a"]}),
    _pool("spec.engine.image", "match", {"engine.image": "my image"}),
    _pool("spec.engine.env[0].name", "match", {"engine.env": [{"name": "1A", "value": ""}]}),
    _pool("spec.engine.env[1]", "Duplicate", {"engine.env": [_ONE_ENV, _ONE_ENV]}),
    _pool("spec.engine.env[0].secret.name", "match", {"engine.env": [{"name": "A", "secret": {"name": "A", "key": "k"}}]}),
    _pool(
        "spec.speculation.numSpeculativeTokens",
        "less than or equal to 64",
        {"speculation": {"method": "ngram", "numSpeculativeTokens": 65}},
    ),
    _pool("spec.parallelism.tensor", "greater than or equal to 1", {"parallelism.tensor": 0}),
    _pool("spec.hardware.gpus", "less than or equal to 64", {"hardware.gpus": 65}),
    _pool("spec.hardware.memory", "match", {"hardware.memory": "2GB"}),
    _pool("spec.hardware.gpuResource", "match", {"hardware.gpuResource": "gpu"}),
    _pool("spec.hardware.nodeSelector.zone", "match", {"hardware.nodeSelector": {"zone": "a b"}}),
    _pool("spec.cache.claimSize", "match", {"cache": {"claimSize": "0Gi"}}),
    _pool("spec.prices.inputUsdPerMtok", "greater than or equal to 0", {"prices.inputUsdPerMtok": -0.01}),
    _pool("spec.hosting.usdPerHour", "greater than or equal to 0", {"hosting": {"usdPerHour": -1}}),
    _pool("spec.hosting.tokensPerSecond", "greater than 0", {"hosting": {"usdPerHour": 1, "tokensPerSecond": 0}}),
    _pool("spec.hosting.pue", "greater than or equal to 1", {"hosting": {"usdPerHour": 1, "pue": 0.9}}),
    _pool("spec.autoscaling.targetUtilization", "greater than 0", {"autoscaling.targetUtilization": 0}),
    _pool("spec.autoscaling.tolerance", "less than 1", {"autoscaling.tolerance": 1}),
    _pool("spec.replicas", "less than or equal to 10000", {"replicas": 10001}),
    _pool("spec.drainSeconds", "greater than or equal to 0", {"drainSeconds": -1}),
    _pool("spec.prefillPool", "match", {"role": "decode", "prefillPool": "Prefill"}),
    _pool("spec.ray.version", "match", {"ray.version": "nightly"}, full=True),
    _tenant("spec.keys[0].sha256", "match", {"keys": [{"sha256": DIGEST.upper()}]}),
    _tenant("spec.weight", "greater than 0", {"weight": 0}),
    _tenant("spec.pools[2]", "Duplicate", {"pools": ["a", "b", "a"]}),
    _tenant("spec.budget.window", "month", {"budget": {"usd": 1, "window": "year"}}),
    _tenant("spec.budget.usd", "greater than or equal to 0", {"budget": {"usd": -0.5}}),
    _policy("spec.cascade.pools", "at least 2 items", {"cascade": {"pools": ["a"]}}),
    _policy("spec.cascade.samples", "less than or equal to 16", {"cascade": {"pools": ["a", "b"], "samples": 17}}),
    _policy("spec.cascade.evidence", "verifier", {"cascade": {"pools": ["a", "b"], "evidence": "mood"}}),
    _policy("spec.exploreShare", "less than or equal to 1", {"exploreShare": 1.5}),
    _policy("spec.weights.water", "greater than or equal to 0", {"weights": {"water": -1}}),
    _policy("spec.custom", "match", {"strategy": "custom", "custom": "a b"}),
    _policy("spec.canaries[0].percent", "less than or equal to 100", {"canaries": [{"pool": "a", "percent": 101}]}),
    _policy("spec.canaries[1]", "Duplicate", {"canaries": [{"pool": "a", "percent": 1}, {"pool": "a", "percent": 2}]}),
    _policy("spec.chunks.deadlineMs", "greater than or equal to 1", {"chunks.deadlineMs": 0}),
    # Fields together
    _pool("spec.model.name", "leaves the choice", {"model.name": "auto"}),
    _pool("spec.model.aliases", "can't be aliases", {"model.aliases": ["auto"]}),
    _pool("spec.model.aliases", "can't be aliases", {"model.aliases": ["x", "m"]}),
    _pool("spec.prefillPool", "role decode", {"role": "decode"}),
    _pool("spec.prefillPool", "role decode", {"prefillPool": "other"}),
    _pool("spec.engine.url", "needed for openai_http", {"engine.kind": "openai_http"}),
    _pool("spec.engine.url", "needed for openai_http", {"engine.url": "http://there"}),
    _pool("spec.engine.env[0]", "exactly one", {"engine.env": [{"name": "A"}]}),
    _pool(
        "spec.engine.env[0]",
        "exactly one",
        {"engine.env": [{"name": "A", "value": "1", "secret": {"name": "s", "key": "k"}}]},
    ),
    _pool("spec.engine.env[0].name", "set by the control plane", {"engine.env": [{"name": "HEADGATE_X", "value": "1"}]}),
    _pool("spec.speculation.model", "needed for draft_model", {"speculation": {"method": "eagle", "numSpeculativeTokens": 1}}),
    _pool(
        "spec.speculation.model",
        "needed for draft_model",
        {"speculation": {"method": "ngram", "numSpeculativeTokens": 1, "model": "d"}},
    ),
    _pool("spec.parallelism", "must fit", {"parallelism.tensor": 4, "hardware.gpus": 2}),
    _pool("spec.parallelism.expert", "tier moe", {"parallelism.expert": True}),
    _pool("spec.hardware.tolerations[0].operator", "must be Exists", {"hardware.tolerations": [{"value": "x"}]}),
    _pool("spec.hardware.tolerations[0].value", "belongs to", {"hardware.tolerations": [{"operator": "Exists", "value": "x"}]}),
    _pool("spec.hardware.nodeSelector", "every key", {"hardware.nodeSelector": {"a b": "x"}}),
    _pool("spec.cache", "exactly one", {"cache": {}}),
    _pool("spec.cache", "exactly one", {"cache": {"claimSize": "1Gi", "image": "i"}}),
    _pool("spec.cache.storageClass", "belongs to claimSize", {"cache": {"existingClaim": "c", "storageClass": "s"}}),
    _pool("spec.autoscaling.minReplicas", "must not exceed", {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
    _pool("spec.hosting", "usdPerHour, powerWatts, or both", {"hosting": {"tokensPerSecond": 100}}),
    _pool("spec.hosting.powerWatts", "need powerWatts", {"hosting": {"usdPerHour": 1, "carbonGPerKwh": 400}}),
    _pool("spec.ray", "runtime RayService", {"ray": {}}),
    _pool(
        "spec.ray.nodes", "only engine vllm", {"runtime": "RayService", "ray": {"nodes": 2}, "engine": {"kind": "simulated"}}
    ),
    _pool("spec.cache.mountPath", "a folder of its own", {"cache": {"claimSize": "1Gi", "mountPath": "/cache"}}),
    _tenant("spec.keys[0]", "exactly one", {"keys": [{}]}),
    _tenant("spec.budget.window", "needs a window", {"budget": {"usd": 1, "hard": True}}),
    _policy("spec.pool", "strategy fixed", {"strategy": "fixed"}),
    _policy("spec.pool", "strategy fixed", {"pool": "a"}),
    _policy("spec.qualityFloor", "strategy qualityFloor", {"strategy": "qualityFloor"}),
    _policy("spec.custom", "strategy custom", {"strategy": "custom"}),
    _policy("spec.custom", "strategy custom", {"custom": "a"}),
    _policy("spec.canaries", "100 percent", {"canaries": [{"pool": "a", "percent": 60}, {"pool": "b", "percent": 41}]}),
)
