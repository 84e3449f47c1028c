"""Valid objects of each kind, least and most, and changed copies of them."""

import copy
from typing import Any

API = "headgate.dev/v1alpha1"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ABSENT = object()

MINIMAL: dict[str, dict[str, Any]] = {
    "ModelPool": {"model": {"name": "m"}, "tier": "small"},
    "Tenant": {},
    "RoutingPolicy": {},
}

# Every field that can stand beside the others.
FULL: dict[str, dict[str, Any]] = {
    "ModelPool": {
        "model": {
            "name": "mistralai/Mixtral-8x7B",
            "aliases": ["mixtral", "moe-1"],
            "source": "/models/mixtral",
            "revision": "main",
        },
        "tier": "moe",
        "role": "decode",
        "prefillPool": "mixtral-prefill",
        "engine": {
            "kind": "vllm",
            "image": "registry.example:5000/headgate/worker@sha256:" + "0" * 64,
            "args": {"max_model_len": 32768, "extra_engine_args": {"seed": None, "rope": {"factor": 2.5}}},
            "env": [{"name": "HF_TOKEN", "secret": {"name": "hub", "key": "token"}}, {"name": "LEVEL", "value": ""}],
        },
        "speculation": {"method": "eagle", "numSpeculativeTokens": 4, "model": "/models/draft"},
        "parallelism": {"tensor": 4, "pipeline": 2, "expert": True},
        "hardware": {
            "gpus": 8,
            "gpuResource": "amd.com/gpu",
            "cpu": "7500m",
            "memory": "1.5Ti",
            "sharedMemory": "32Gi",
            "nodeSelector": {"example.com/gpu": "h100", "zone": ""},
            "tolerations": [{"operator": "Exists"}, {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"}],
            "spread": "zones",
        },
        "cache": {"claimSize": "500Gi", "storageClass": "fast.nvme", "accessMode": "ReadWriteOnce", "mountPath": "/weights"},
        "prices": {"inputUsdPerMtok": 0.5, "cachedInputUsdPerMtok": 0.05, "outputUsdPerMtok": 1.5},
        "hosting": {
            "usdPerHour": 31.92,
            "tokensPerSecond": 2500.5,
            "powerWatts": 6000,
            "pue": 1.15,
            "carbonGPerKwh": 390,
            "waterSiteLPerKwh": 0.2,
            "waterSourceLPerKwh": 3.1,
        },
        "objectives": {"ttftMs": 500, "tpotMs": 30},
        "replicas": 3,
        "autoscaling": {
            "mode": "External",
            "minReplicas": 0,
            "maxReplicas": 12,
            "targetUtilization": 0.8,
            "tolerance": 0.05,
            "scaleUpHoldSeconds": 5,
            "scaleDownHoldSeconds": 60,
            "idleSeconds": 1200,
        },
        "coldStart": {"policy": "Refuse", "waitSeconds": 0},
        "rollout": {
            "maxSurge": 2,
            "warmSeconds": 10,
            "warmHitRatio": 0.5,
            "progressDeadlineSeconds": 300,
            "maxErrorRate": 0.1,
            "rollback": False,
        },
        "drainSeconds": 0,
        "runtime": "RayService",
        "ray": {"version": "2.60.0", "nodes": 2, "headCpu": "2", "headMemory": "8Gi", "authSecret": "ray.auth"},
        "inferencePool": True,
    },
    "Tenant": {
        "keys": [{"secret": {"name": "keys", "key": "a"}}, {"sha256": DIGEST}],
        "pools": ["small", "large"],
        "weight": 2.5,
        "priority": -5,
        "parent": "company",
        "budget": {"usd": 12.5, "window": "week", "hard": True},
        "policy": "careful",
        "cacheGroup": "research",
    },
    "RoutingPolicy": {
        "strategy": "qualityFloor",
        "qualityFloor": 0.75,
        "weights": {"quality": 2, "cost": 0.5, "latency": 0, "energy": 0.1, "carbon": 0.2, "water": 0.3},
        "exploreShare": 0.05,
        "cascade": {
            "pools": ["small", "large"],
            "minConfidence": 0.6,
            "maxCostUsd": 0.02,
            "evidence": "agreement",
            "samples": 5,
        },
        "chunks": {"enabled": False, "deadlineMs": 20, "maxTokens": 4000},
        "canaries": [{"pool": "next", "percent": 10}, {"pool": "other", "percent": 90}],
    },
}


def wrapped(kind: str, spec: Any, name: str = "sample") -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": copy.deepcopy(spec)}


def changed(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with the values at these dotted paths set, or taken away where they are ABSENT. Objects on the way are made."""
    made = copy.deepcopy(spec)
    for path, value in changes.items():
        *way, last = path.split(".")
        place = made
        for step in way:
            place = place.setdefault(step, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    return made
