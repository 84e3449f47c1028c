"""Values that between them turn every part of the chart on and off, by name."""

from typing import Any

POOL = {"name": "small", "spec": {"model": {"name": "m"}, "tier": "small", "engine": {"kind": "simulated"}}}
TENANT = {
    "name": "search",
    "labels": {"team": "search"},
    "spec": {"keys": [{"secret": {"name": "search-key", "key": "api-key"}}]},
}
POLICY = {"name": "frugal", "annotations": {"why": "cost"}, "spec": {"strategy": "qualityFloor", "qualityFloor": 0.7}}

_PLACEMENT: dict[str, Any] = {
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}
    ]}}},
    "priorityClassName": "system-cluster-critical",
}  # fmt: skip
_POD: dict[str, Any] = {
    **_PLACEMENT,
    "podAnnotations": {"example.com/note": "a"},
    "podLabels": {"example.com/team": "platform"},
    "extraEnv": [{"name": "LOG_LEVEL", "value": "debug"}],
    "topologySpreadConstraints": [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "router"}},
        }
    ],
}

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": {
        "commonLabels": {"example.com/cost-centre": "4711"},
        "imageRegistry": "registry.example.com/",
        "imagePullSecrets": ["registry"],
        "router": {
            **_POD,
            "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}}},
            "config": {
                "drain_s": 60,
                "limits": {"max_body_bytes": 41943040},
                "predictor": {"reload_s": 60},
                "learning": {"enabled": False},
                "redis": {"timeout_s": 0.5},
                "budgets": {"when_away": "open", "default_max_tokens": 1024},
                "choosers": {"night-shift": "acme.routing:NightShift"},
                "verifiers": {"*": "acme.checks:Answers"},
            },
            "predictor": {"existingClaim": "artefacts", "path": "chat/v3.npz", "shadow": "chat/v4.npz"},
            "service": {"type": "LoadBalancer", "annotations": {"example.com/lb": "internal"}},
            "podDisruptionBudget": {"maxUnavailable": "25%"},
        },
        "controlplane": {
            **_POD,
            "config": {
                "gpu_budget": {"nvidia.com/gpu": 64},
                "lease": {"duration_s": 20},
                "platform": {"endpoint_picker": "epp"},
            },
            "rbac": {"secretNames": ["search-key"], "ownerReferenceFinalizers": True},
        },
        "redis": {**_PLACEMENT, "persistence": {"storageClass": "fast"}},
        "networkPolicy": {
            "clients": [{"namespaceSelector": {"matchLabels": {"gateway": "yes"}}}],
            "monitoring": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Headgate"}},
        },
        "crds": {"upgrade": {"enabled": True}},
        "tests": {"apiKeySecret": {"name": "search-key", "key": "api-key"}},
        "pools": [POOL],
        "tenants": [TENANT],
        "policies": [POLICY],
    },
    "a predictor from a ConfigMap": {"router": {"predictor": {"configMap": "predictor", "key": "chat-v3.npz"}}},
    "least": {
        "redis": {"enabled": False},
        "router": {"replicas": 1, "podDisruptionBudget": {"enabled": False}},
        "controlplane": {"replicas": 1, "podDisruptionBudget": {"enabled": False}},
        "networkPolicy": {"enabled": False},
    },
    "two namespaces, TLS by Helm": {"namespaces": ["serving", "team-b"], "tls": {"mode": "self-signed"}},
    "all namespaces, TLS by Helm": {"namespaces": ["*"], "poolNamespaces": ["team-b"], "tls": {"mode": "self-signed"}},
    "TLS by cert-manager": {"tls": {"mode": "cert-manager"}},
    "two namespaces, TLS by a ClusterIssuer": {
        "namespaces": ["serving", "team-b"],
        "tls": {"mode": "cert-manager", "certManager": {"issuerRef": {"kind": "ClusterIssuer", "name": "platform"}}},
    },
    "TLS of existing Secrets": {
        "tls": {"mode": "existing", "existing": {"router": "router-tls", "controlplane": "control-tls", "worker": "worker-tls"}}
    },
    "Redis without a volume": {"redis": {"existingSecret": "redis", "persistence": {"enabled": False}}},
    "Redis elsewhere": {
        "redis": {
            "external": {"url": "rediss://cache.example.com:6380/1", "existingSecret": "cache", "existingSecretKey": "pw"}
        }
    },
}
