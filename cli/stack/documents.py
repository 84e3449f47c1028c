"""The files that `headgate up` writes for the programs it starts, and the environment it gives them. Pure.

Shapes: worker = workers/config.py, ray = workers/ray/local.py, router = router/config.py, topology =
headgate.v1.TopologySnapshot as JSON.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.stack.config import Replica, Stack, StackPool
from cli.stack.paying import TenantSettings
from workers.config import VllmEngine

# From SIGTERM to the end of draining, then this long to close the engine, before a program is killed.
CLOSING_S = 10.0


def worker_document(stack: Stack, pool: StackPool, replica: Replica, ready_file: Path) -> dict[str, Any]:
    return {
        "listen": "127.0.0.1:0",
        "models": list(pool.models),
        "engine": replica.engine.model_dump(mode="json", exclude_unset=True) | {"kind": replica.engine.kind},
        "drain_s": stack.worker_drain_s,
        "ready_file": str(ready_file),
        "exit_with_parent": True,
    }


def ray_document(
    stack: Stack, ready_file: Path, ready_files: Mapping[str, Path], cores: int, inherited: Mapping[str, str]
) -> dict[str, Any]:
    """All workers, by replica id, for one Ray; `ready_files` are theirs. Ray ends them when it ends, so they need not watch."""
    workers = {
        replica.id: {
            "config": worker_document(stack, pool, replica, ready_files[replica.id]) | {"exit_with_parent": False},
            "env": worker_environment(stack, replica, cores, inherited),
        }
        for pool in stack.pools
        for replica in pool.replicas
    }
    return {"workers": workers, "ready_file": str(ready_file)}


def router_document(stack: Stack, topology_file: Path) -> dict[str, Any]:
    (http_host, http_port), (grpc_host, grpc_port) = stack.http, stack.grpc
    return {
        **stack.router,
        "http": {"host": http_host, "port": http_port},
        "grpc": {"host": grpc_host, "port": grpc_port},
        "topology": {"file": str(topology_file)},
    }


def topology_document(stack: Stack, addresses: Mapping[str, str], version: int) -> dict[str, Any]:
    """`addresses` are the workers that serve now, by replica id: the others are left out, so that nothing is sent to them."""
    return {
        "version": version,
        "pools": [
            {
                "name": pool.name,
                "tier": pool.tier,
                "models": list(pool.models),
                "prices": pool.prices.model_dump(),
                **({"hosting": pool.hosting.model_dump()} if pool.hosting is not None else {}),
                "ttft_ms": pool.ttft_ms,
                "tpot_ms": pool.tpot_ms,
                "replicas": _replicas(pool, addresses),
            }
            for pool in stack.pools
        ],
        "tenants": [_tenant(number, tenant) for number, tenant in enumerate(stack.tenants)],
        "policies": [policy.document() for policy in stack.policies],
    }


def _tenant(number: int, tenant: TenantSettings) -> dict[str, Any]:
    """One that is only a parent gets a digest of its own that no key is known to have."""
    digests = list(tenant.key_sha256) or [f"{number:064x}"]
    return tenant.model_dump(mode="json", exclude_defaults=True) | {"key_sha256": digests}


def _replicas(pool: StackPool, addresses: Mapping[str, str]) -> list[dict[str, Any]]:
    elsewhere = [(f"{pool.name}-{index}", address) for index, address in enumerate(pool.addresses)]
    here = [(replica.id, addresses[replica.id]) for replica in pool.replicas if replica.id in addresses]
    return [{"id": replica_id, "address": address} for replica_id, address in elsewhere + here]


def worker_environment(stack: Stack, replica: Replica, cores: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """What one worker gets on top of what we were started with. What the user has set, in the file or outside, stays."""
    wanted: dict[str, str] = {}
    if isinstance(replica.engine, VllmEngine):
        engines = sum(isinstance(r.engine, VllmEngine) for pool in stack.pools for r in pool.replicas)
        wanted |= {
            # Without this every engine on a CPU binds its threads to the same cores.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "VLLM_LOGGING_LEVEL": "WARNING",
            # GiB, on a CPU: otherwise each engine takes a share of all memory. `kv_cache_gib` is stronger.
            "VLLM_CPU_KVCACHE_SPACE": "4",
        }
        if engines > 1:  # one engine alone knows best
            wanted["OMP_NUM_THREADS"] = str(max(1, cores // engines))
        if Path(replica.engine.model).is_dir():
            wanted |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    else:
        wanted |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {key: value for key, value in wanted.items() if key not in inherited} | dict(replica.env)
