"""A real Kubernetes control plane on this machine: etcd, API server, controllers, scheduler, and kwok in place of kubelets.

Pods run nothing. kwok gives them addresses of 10.244.0.0/16 and turns them Running and Ready; inside `network.enter` a test can
listen on such an address itself.
"""

import json
import secrets
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.kube.cluster import audit, objects
from tests.kube.cluster.commands import Layout, commands, kubeconfig, prepare, write_private
from tests.kube.cluster.objects import Manifest
from tests.kube.cluster.programs import Program, free_ports
from tests.kube.cluster.rest import ApiError, Rest
from tests.kube.cluster.waiting import eventually
from tools.kube.kit import Kit, kit

START_LIMIT_S = 120.0
COMMAND_LIMIT_S = 180.0


class CommandFailed(Exception):
    """kubectl or Helm ended with an error; the text is what it said."""


class Cluster:
    """Methods block: call them by `asyncio.to_thread` where the event loop has to go on, as when a `FaultyProxy` is in between.

    url                the API server's address
    admin_kubeconfig   kubeconfig file of an administrator; `kubeconfig_for` makes others
    rest               `rest("GET", "/api/v1/nodes")` as the administrator
    kit                the programs, for tests that start more of them (the KubeRay operator)
    """

    def __init__(self, folder: Path, kit_: Kit | None = None) -> None:
        ports = free_ports()
        self.kit = kit_ or kit()
        self.folder = folder
        self.layout = Layout(folder, *(next(ports) for _ in range(4)))
        self.url = self.layout.url
        self.admin_kubeconfig = folder / "admin.kubeconfig"
        self._admin_token = secrets.token_hex(16)
        self.rest = Rest(self.url, self.layout.authority, self._admin_token)
        self.programs = {
            name: Program(name, line, self.layout.log(name)) for name, line in commands(self.layout, self.kit).items()
        }

    def __enter__(self) -> Self:
        prepare(self.layout, self._admin_token)
        try:
            self.programs["etcd"].start()
            self.start_api_server()
            for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
                self.programs[name].start()
            eventually(self._serves_accounts, "the controllers' work in the namespace default", START_LIMIT_S)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for program in reversed(self.programs.values()):
            program.kill()

    def stop_api_server(self) -> None:
        """From here on connections are refused; nothing is lost, everything else runs on."""
        self.programs["kube-apiserver"].kill()

    def start_api_server(self) -> None:
        """Returns when it is ready, on the same port as before."""
        self.programs["kube-apiserver"].start()
        eventually(self._ready, "the API server's /readyz", START_LIMIT_S)

    def kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """What kubectl printed. Raises CommandFailed."""
        return self._run("kubectl", arguments, stdin, kubeconfig)

    def helm(self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """What Helm printed. Raises CommandFailed."""
        return self._run("helm", arguments, stdin, kubeconfig)

    def apply(self, *manifests: Manifest | Path, namespace: str = "default") -> None:
        """Server-side apply of objects, YAML files or folders of them, by the field manager `kubectl`. Raises CommandFailed."""
        apply = ("apply", "--server-side", "--force-conflicts", f"--namespace={namespace}")
        for path in (manifest for manifest in manifests if isinstance(manifest, Path)):
            self.kubectl(*apply, f"--filename={path}")
        given = [manifest for manifest in manifests if not isinstance(manifest, Path)]
        if given:
            self.kubectl(*apply, "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": given}))

    def install_crds(self, *projects: str) -> None:
        """Other projects' CRDs, established on return; the names are those of tools/kube/versions.toml. Raises KeyError."""
        for project in projects:
            if project not in self.kit.versions["crds"]:
                raise KeyError(f"no CRDs of {project}; there are: {', '.join(self.kit.versions['crds'])}")
            self.install_crds_from(self.kit.crds(project))

    def install_crds_from(self, folder: Path) -> None:
        """The CRDs of a file or folder, established on return."""
        self.apply(folder)
        eventually(self._all_crds_established, f"the CRDs of {folder}")

    def add_nodes(
        self,
        count: int,
        gpus: int = 8,
        labels: Mapping[str, str] | None = None,
        prefix: str = "gpu",
        gpu: str = "nvidia.com/gpu",
    ) -> list[str]:
        """Nodes PREFIX-0, PREFIX-1 …, Ready on return. `gpus` each, of the resource `gpu`. Returns their names."""
        names = [f"{prefix}-{number}" for number in range(count)]
        self.apply(*(objects.node(name, gpus, labels or {}, gpu) for name in names))
        eventually(lambda: self._all_ready(names), f"{count} nodes that are Ready")
        return names

    def remove_nodes(self, names: Iterable[str]) -> None:
        self.kubectl("delete", "node", "--wait=true", *names)

    def add_volumes(self, count: int, size: str = "1Ti", prefix: str = "volume") -> None:
        """PersistentVolumes for claims without a storage class; a Pod whose claim has none is not scheduled."""
        self.apply(*(objects.volume(f"{prefix}-{number}", size) for number in range(count)))

    def add_namespace(self, name: str) -> str:
        """A namespace in which Pods can be made at once; returns its name."""
        self.apply(objects.namespace(name))
        eventually(lambda: self._has_account(name), f"the service account default in {name}")
        return name

    def kubeconfig_for(self, service_account: str, namespace: str, lifetime_s: int = 86_400) -> Path:
        """A kubeconfig file with a token of this ServiceAccount, which must exist; its context is the account's namespace."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": lifetime_s}}
        token = self.rest("POST", path, request)["status"]["token"]
        file = self.folder / f"{namespace}.{service_account}.kubeconfig"
        write_private(file, kubeconfig(self.url, self.layout.authority, token, namespace))
        return file

    def audit(self, user: str = "", namespace: str = "") -> list[audit.AuditEvent]:
        """What clients did so far, oldest first; of one user (`system:serviceaccount:NAMESPACE:NAME`) or in one namespace."""
        return [
            event
            for event in audit.read(self.layout.audit_log)
            if user in ("", event.user) and namespace in ("", event.namespace)
        ]

    def describe(self) -> str:
        """For a failed test: where to look, and which programs have ended."""
        lines = [f"kubeconfig: {self.admin_kubeconfig}", f"audit log: {self.layout.audit_log}"]
        for program in self.programs.values():
            lines.append(f"{program.name}: {program.state()}, log {program.log}")
        return "\n".join(lines)

    def _run(self, name: str, arguments: Iterable[str], stdin: str | None, kubeconfig_: Path | None) -> str:
        done = subprocess.run(
            [self.kit.program(name), *arguments],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            env={"KUBECONFIG": str(kubeconfig_ or self.admin_kubeconfig), "HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )
        if done.returncode:
            raise CommandFailed(f"{name} {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _ready(self) -> bool:
        for program in self.programs.values():
            program.check()
        try:
            return bool(self.rest("GET", "/readyz") == "ok")
        except ApiError:
            return False

    def _serves_accounts(self) -> bool:
        for program in self.programs.values():
            program.check()
        return self._has_account("default")

    def _has_account(self, namespace: str) -> bool:
        try:
            return bool(self.rest("GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
        except ApiError as error:
            if error.status == 404:
                return False
            raise

    def _all_ready(self, names: Iterable[str]) -> bool:
        nodes = self.rest("GET", "/api/v1/nodes")["items"]
        return {node["metadata"]["name"] for node in nodes if _is(node, "Ready")}.issuperset(names)

    def _all_crds_established(self) -> bool:
        crds = self.rest("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
        return all(_is(crd, "Established") for crd in crds)


def _is(thing: Mapping[str, Any], condition: str) -> bool:
    return any(one["type"] == condition and one["status"] == "True" for one in thing.get("status", {}).get("conditions") or ())
