"""ModelPools that between them use everything that ends in an object: for golden files, and for the real API server."""

from typing import Any

from controlplane.manifests.children import Owner
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Platform

OWNER = Owner("models", "chat", "0d6f1c9a-3c52-4b7e-9a39-1f6c2f0c8a11")
PLAIN = Platform(worker_image="headgate/worker:0.1.0")
FULL = Platform(
    worker_image="registry.example/headgate/worker:0.1.0",
    image_pull_policy="Always",
    image_pull_secrets=("registry",),
    service_account="worker",
    tls_secret="worker-tls",
    labels={"helm.sh/chart": "headgate-0.1.0"},
    endpoint_picker="picker:9010",
)
SIMULATED: dict[str, Any] = {
    "model": {"name": "sim"},
    "tier": "small",
    "engine": {"kind": "simulated", "args": {"profile": "h100-70b", "max_running": 8}},
}
VLLM: dict[str, Any] = {
    "model": {"name": "llama-70b", "aliases": ["llama"], "source": "meta-llama/Llama-3.3-70B-Instruct", "revision": "6f6073b"},
    "tier": "large",
    "engine": {
        "args": {"max_model_len": 32768, "gpu_memory_utilization": 0.92, "extra_engine_args": {"kv_cache_dtype": "fp8"}},
        "env": [
            {"name": "HF_TOKEN", "secret": {"name": "hub", "key": "token"}},
            {"name": "VLLM_ATTENTION_BACKEND", "value": "FLASHINFER"},
            {"name": "EMPTY", "value": ""},
        ],
    },
    "speculation": {"method": "eagle", "numSpeculativeTokens": 3, "model": "yuhuili/EAGLE3-LLaMA3.3-Instruct-70B"},
    "parallelism": {"tensor": 4, "pipeline": 2},
    "hardware": {
        "gpus": 8,
        "cpu": "16000m",
        "memory": "0.5Ti",
        "sharedMemory": "16384Mi",
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "gpu", "value": "h100", "effect": "NoSchedule"}, {"operator": "Exists", "effect": "NoExecute"}],
        "spread": "zones",
    },
    "cache": {"claimSize": "500000Mi", "storageClass": "shared"},
    "drainSeconds": 120,
    "rollout": {"maxSurge": 2, "progressDeadlineSeconds": 3600},
    "inferencePool": True,
}
HTTP: dict[str, Any] = {
    "model": {"name": "gpt", "source": "gpt-5"},
    "tier": "moe",
    "engine": {
        "kind": "openai_http",
        "image": "headgate/worker:0.1.0-slim",
        "url": "http://sglang.models.svc:30000/v1",
        "args": {"dialect": "sglang", "api_key_env": "UPSTREAM_KEY"},
        "env": [{"name": "UPSTREAM_KEY", "secret": {"name": "upstream", "key": "api-key"}}],
    },
    "hardware": {"cpu": "0.25", "memory": "1024Mi", "spread": "none"},
    "drainSeconds": 0,
}
WEIGHTS_IMAGE: dict[str, Any] = {
    "model": {"name": "qwen", "source": "/weights/qwen"},
    "tier": "moe",
    "parallelism": {"tensor": 2, "expert": True},
    "hardware": {"gpus": 2, "gpuResource": "amd.com/gpu", "memory": "64G"},
    "cache": {"image": "registry.example/weights/qwen:1", "mountPath": "/weights"},
}
READ_ONLY_CLAIM: dict[str, Any] = {
    **SIMULATED,
    "cache": {"existingClaim": "weights", "accessMode": "ReadOnlyMany"},
}
# Arguments that survive neither a shell, nor Kubernetes' own variables, nor a careless JSON writer.
ODD_ARGUMENTS: dict[str, Any] = {
    "model": {"name": "tiny", "source": "/models/$(HOME)/tiny"},
    "tier": "small",
    "engine": {
        "args": {
            "kv_cache_gib": 1.0,
            "max_num_seqs": None,
            "chat_template": "{{ 'π ≠ $(POD_NAME) $$' }}\n{# \"quoted\" \\ #}",
            "extra_engine_args": {
                "hf_overrides": {"rope": {"factor": 2.5e-07, "off": None, "list": [1, 2.0, None, []]}},
                "none": {},
            },
        }
    },
    "cache": {"claimSize": "1.5Gi", "accessMode": "ReadWriteOnce"},
}
RAY: dict[str, Any] = {
    **{key: VLLM[key] for key in ("model", "tier", "engine", "parallelism", "cache")},
    "hardware": {**VLLM["hardware"], "gpus": 4},
    "runtime": "RayService",
    "ray": {"nodes": 2, "headMemory": "8192Mi", "authSecret": "ray-token"},
}
RAY_SIMULATED: dict[str, Any] = {**SIMULATED, "runtime": "RayService"}

# name → the pool, and what the installation gives it
POOLS: dict[str, tuple[dict[str, Any], Platform]] = {
    "simulated": (SIMULATED, PLAIN),
    "vllm": (VLLM, FULL),
    "openai-http": (HTTP, PLAIN),
    "weights-image": (WEIGHTS_IMAGE, PLAIN),
    "read-only-claim": (READ_ONLY_CLAIM, PLAIN),
    "odd-arguments": (ODD_ARGUMENTS, PLAIN),
    "ray": (RAY, FULL),
    "ray-simulated": (RAY_SIMULATED, PLAIN),
}


def pool(document: dict[str, Any], **more: Any) -> ModelPoolSpec:
    """The spec, with some of its fields replaced."""
    return ModelPoolSpec.model_validate({**document, **more})
