"""The command lines of the cluster's programs, and the files that they read. Starts nothing."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.kube.kit import Kit

SERVICE_NETWORK = "10.96.0.0/16"
POD_NETWORK = "10.244.0.0/16"
# What the cluster does to itself is left out of the audit log: it is some hundred times what a client does.
OWN_USERS = ("system:kube-controller-manager", "system:kube-scheduler", "system:kwok", "system:apiserver")
# By the name of their kubeconfig file; each may do everything.
_USERS = {"admin": "admin", "controllers": OWN_USERS[0], "scheduler": OWN_USERS[1], "kwok": OWN_USERS[2]}


@dataclass(frozen=True)
class Layout:
    """Where one cluster keeps its files, and the ports of 127.0.0.1 that it listens on."""

    folder: Path
    api: int
    etcd: int
    etcd_peer: int
    kwok: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.api}"

    @property
    def certificates(self) -> Path:
        """The API server makes tls files of its own there when it starts for the first time."""
        return self.folder / "pki"

    @property
    def authority(self) -> Path:
        return self.certificates / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def log(self, program: str) -> Path:
        return self.folder / "logs" / f"{program}.log"


def prepare(layout: Layout, admin_token: str) -> None:
    """Writes what the programs read when they start."""
    for folder in (layout.folder, layout.certificates, layout.folder / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    tokens = {name: secrets.token_hex(16) for name in _USERS} | {"admin": admin_token}
    known = (f'{tokens[name]},{user},{user},"system:masters"\n' for name, user in _USERS.items())
    write_private(layout.folder / "tokens.csv", "".join(known))
    (layout.folder / "audit-policy.json").write_text(json.dumps(_audit_policy()))
    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(layout.folder / "accounts.key", private.decode())
    (layout.folder / "accounts.pub").write_bytes(public)
    for name, token in tokens.items():
        write_private(layout.folder / f"{name}.kubeconfig", kubeconfig(layout.url, layout.authority, token))


def commands(layout: Layout, kit: Kit) -> Mapping[str, list[str | Path]]:
    """By program, in the order in which they start."""
    folder, etcd, peer = layout.folder, f"http://127.0.0.1:{layout.etcd}", f"http://127.0.0.1:{layout.etcd_peer}"
    return {
        "etcd": [
            kit.program("etcd"),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
        "kube-apiserver": [
            kit.program("kube-apiserver"),
            f"--etcd-servers={etcd}",
            f"--secure-port={layout.api}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # the service `kubernetes` may not point at a loopback address
            f"--cert-dir={layout.certificates}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--service-account-key-file={folder / 'accounts.pub'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--audit-policy-file={folder / 'audit-policy.json'}",
            f"--audit-log-path={layout.audit_log}",
        ],
        "kube-controller-manager": [
            kit.program("kube-controller-manager"),
            f"--kubeconfig={folder / 'controllers.kubeconfig'}",
            f"--service-account-private-key-file={folder / 'accounts.key'}",
            f"--root-ca-file={layout.authority}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            "--node-monitor-grace-period=5m",  # a test machine may be too busy for a heartbeat
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
        ],
        "kube-scheduler": [
            kit.program("kube-scheduler"),
            f"--kubeconfig={folder / 'scheduler.kubeconfig'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
        ],
        "kwok": [
            kit.program("kwok"),
            f"--kubeconfig={folder / 'kwok.kubeconfig'}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",  # without leases the nodes turn NotReady
            f"--cidr={POD_NETWORK}",
            f"--server-address=127.0.0.1:{layout.kwok}",
        ],
    }


def kubeconfig(url: str, authority: Path, token: str, namespace: str = "default") -> str:
    """The text of a kubeconfig file (JSON, which is YAML) with one context."""
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(authority)}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "current-context": "test",
    }
    return json.dumps(config, indent=1)


def write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _audit_policy() -> dict[str, Any]:
    rules = [{"level": "None", "users": list(OWN_USERS)}, {"level": "Metadata"}]
    return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
