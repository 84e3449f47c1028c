"""Kubernetes objects that a test cluster needs and that no chart of ours makes."""

from collections.abc import Mapping
from typing import Any

Manifest = Mapping[str, Any]


def node(name: str, gpus: int, labels: Mapping[str, str], gpu: str) -> Manifest:
    """A node that kwok plays. `gpu` is the resource's name; 96 CPUs and 1 TiB, so that GPUs are what is scarce."""
    capacity = {"cpu": "96", "memory": "1Ti", "ephemeral-storage": "4Ti", "pods": "250"} | ({gpu: str(gpus)} if gpus else {})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def volume(name: str, size: str) -> Manifest:
    """A PersistentVolume that any claim without a storage class may take: nobody makes volumes here."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": f"/nowhere/{name}"},
        },
    }


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
