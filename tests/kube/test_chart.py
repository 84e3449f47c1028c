"""The chart on a real API server: whatever it makes is accepted, and it installs, upgrades, rolls back and leaves.

Pods run nothing here. Where a pod's command matters (`helm test`, the CRD upgrade), the test runs it in the kubelet's place.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import CHART, ROOT, Rendered, render
from tests.helm.test_examples import FOLDERS, resources_of, values_of
from tests.helm.variants import POLICY, POOL, TENANT, VARIANTS
from tests.kube.cluster.cluster import Cluster, CommandFailed
from tests.kube.cluster.rest import ApiError
from tests.kube.cluster.waiting import eventually
from tests.stack import Stack

pytestmark = pytest.mark.requires("kube")

ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
PROGRAM = ["-m", "controlplane.cluster.crd_upgrade"]
MERGE = "application/merge-patch+json"
# What everybody finds in a namespace, and what Helm keeps of a release that is gone or not its own.
NOT_OURS = {"Event", "ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


def install(cluster: Cluster, verb: str, release: str, namespace: str, values: Any = None, chart: Path = CHART) -> str:
    """`helm install` or `helm upgrade`, until everything is Ready."""
    options = ("--namespace", namespace, "--wait", "--timeout", "120s", "--values", "-")
    return cluster.helm(verb, release, str(chart), *options, stdin=yaml.safe_dump(values or {}))


def everything_in(cluster: Cluster, namespace: str) -> set[str]:
    """Kind/name of every object in the namespace that somebody put there."""
    resources = cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    names = cluster.kubectl("get", ",".join(resources), "-n", namespace, "-o", "json", "--ignore-not-found")
    items = json.loads(names)["items"] if names.strip() else []
    found = {(item["kind"], item["metadata"]["name"]) for item in items}
    return {f"{kind}/{name}" for kind, name in found if kind not in NOT_OURS and f"{kind}/{name}" not in NOT_OURS}


def cluster_wide(cluster: Cluster) -> set[str]:
    """Cluster-scoped objects that bear the chart's labels."""
    kinds = "clusterroles,clusterrolebindings,customresourcedefinitions"
    found = json.loads(cluster.kubectl("get", kinds, "-l", "app.kubernetes.io/part-of=headgate", "-o", "json"))["items"]
    return {f"{item['kind']}/{item['metadata']['name']}" for item in found}


@pytest.fixture(scope="module")
def kinds(cluster: Cluster) -> None:
    """What the objects of the chart need to be judged."""
    cluster.install_crds("monitoring", "cert-manager")
    cluster.install_crds_from(CHART / "crds")
    for name in ("serving", "team-b"):
        cluster.add_namespace(name)


@pytest.fixture
def release(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The chart with its defaults, installed as `hg`; the namespace it is in."""
    cluster.add_volumes(1, prefix=f"release-{namespace}")
    install(cluster, "install", "hg", namespace)
    yield namespace
    cluster.helm("uninstall", "hg", "--namespace", namespace)


@pytest.mark.usefixtures("kinds")
class TestAccepted:
    """Server-side dry runs with strict field validation: what the real server says of every object."""

    def dry_run(self, cluster: Cluster, objects: Iterable[Any]) -> list[str]:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        options = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "name")
        return cluster.kubectl("apply", *options, "-f", "-", stdin=text).splitlines()

    def complete(self, resource: Any) -> Any:
        """As it would be applied into the release's namespace."""
        return {"apiVersion": "headgate.dev/v1alpha1", **resource, "metadata": {"namespace": "serving", **resource["metadata"]}}

    @pytest.mark.parametrize("name", VARIANTS)
    def test_all_that_the_chart_makes(self, cluster: Cluster, name: str) -> None:
        rendered = render(VARIANTS[name])
        assert len(self.dry_run(cluster, rendered.objects)) == len(rendered.objects)

    @pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
    def test_every_example(self, cluster: Cluster, folder: Path) -> None:
        resources = [self.complete(thing) for thing in resources_of(folder)]
        rendered = render(values_of(folder))
        assert len(self.dry_run(cluster, [*rendered.objects, *resources])) == len(rendered.objects) + len(resources)


class TestRights:
    """What the control plane's account may do, as the API server's authorizer sees it."""

    def may(self, cluster: Cluster, account: Path, what: str, namespace: str) -> bool:
        """`what` is "verb resource", "verb resource/name" or "verb resource:subresource"."""
        verb, _, target = what.partition(" ")
        resource, _, part = target.partition(":")
        question = ("auth", "can-i", verb, resource, f"--subresource={part}", "-n", namespace)
        try:
            return cluster.kubectl(*question, kubeconfig=account).strip() == "yes"
        except CommandFailed:
            return False

    def test_in_its_namespace_alone(self, cluster: Cluster, release: str) -> None:
        account = cluster.kubeconfig_for("hg-headgate-controlplane", release)
        allowed = ["list modelpools", "patch modelpools:status", "create deployments.apps", "get secrets", "list nodes"]
        refused = [
            *("create secrets", "list secrets", "delete pods", "create pods:exec", "patch modelpools", "create leases"),
            *("list customresourcedefinitions", "patch nodes", "create roles", "create serviceaccounts:token"),
        ]
        assert [what for what in allowed if not self.may(cluster, account, what, release)] == []
        assert [what for what in refused if self.may(cluster, account, what, release)] == []
        assert not self.may(cluster, account, "list modelpools", "default")
        assert self.may(cluster, account, "update leases/hg-headgate-controlplane", release)
        assert not self.may(cluster, account, "update leases/other", release)


def previous_chart(folder: Path) -> Path:
    """The chart as it might have been a version ago: other images, one template gone since, one not yet there, older CRDs."""
    old = folder / "headgate"
    shutil.copytree(CHART, old)
    about = yaml.safe_load((old / "Chart.yaml").read_text())
    (old / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "0.0.9", "appVersion": "0.0.9"}))
    (old / "templates" / "network" / "policies.yaml").unlink()
    (old / "templates" / "gone.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone-since, namespace: {{ .Release.Namespace }}}\n"
    )
    definition = yaml.safe_load((old / "crds" / "modelpools.yaml").read_text())
    del definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["drainSeconds"]
    (old / "crds" / "modelpools.yaml").write_text(yaml.safe_dump(definition))
    return old


class TestLife:
    """Install, upgrade from the previous version, roll back, uninstall, install again: on a cluster that never saw Headgate."""

    @pytest.mark.slow
    def test_from_the_first_install_to_the_second(self, own_cluster: Cluster, tmp_path: Path) -> None:
        cluster, namespace = own_cluster, own_cluster.add_namespace("serving")
        cluster.add_nodes(2)
        cluster.add_volumes(1)
        before = everything_in(cluster, namespace)
        old = previous_chart(tmp_path)
        values = {
            "tls": {"mode": "self-signed"},
            "pools": [POOL],
            "tenants": [TENANT],
            "policies": [POLICY],
        }

        said = install(cluster, "install", "headgate", namespace, values, old)
        assert "port-forward" in said
        assert {"Deployment/headgate-router", "ModelPool/small", "Tenant/search", "RoutingPolicy/frugal"} <= everything_in(
            cluster, namespace
        )
        assert self.images(cluster) == {"headgate/router:0.0.9", "headgate/controlplane:0.0.9", "valkey/valkey:8.1.4-alpine"}
        assert "drainSeconds" not in self.pool_schema(cluster)
        secrets = self.secrets(cluster)
        assert set(secrets) == {f"headgate-{name}" for name in ("ca", "redis", "router-tls", "controlplane-tls", "worker-tls")}

        install(cluster, "upgrade", "headgate", namespace, values | {"crds": {"upgrade": {"enabled": True}}})
        now = everything_in(cluster, namespace)
        assert "ConfigMap/gone-since" not in now
        assert "NetworkPolicy/headgate-router" in now
        assert self.images(cluster) == {"headgate/router:0.1.0", "headgate/controlplane:0.1.0", "valkey/valkey:8.1.4-alpine"}
        assert self.secrets(cluster) == secrets, "passwords and certificates are kept"
        assert not {name for name in now if "crd-upgrade" in name}, "the hook cleans up after itself"

        cluster.helm("rollback", "headgate", "1", "--namespace", namespace, "--wait")
        assert "ConfigMap/gone-since" in everything_in(cluster, namespace)
        assert "headgate/router:0.0.9" in self.images(cluster)
        assert self.secrets(cluster) == secrets

        cluster.helm("uninstall", "headgate", "--namespace", namespace, "--wait")
        claim = "PersistentVolumeClaim/data-headgate-redis-0"
        eventually(
            lambda: everything_in(cluster, namespace) - before == {claim}, "an empty namespace but for the data of Redis"
        )
        definitions = {f"CustomResourceDefinition/{name}.headgate.dev" for name in ("modelpools", "tenants", "routingpolicies")}
        assert cluster_wide(cluster) == definitions

        install(cluster, "install", "headgate", namespace)
        assert "Deployment/headgate-router" in everything_in(cluster, namespace)

    def images(self, cluster: Cluster) -> set[str]:
        query = "{.items[*].spec.template.spec.containers[*].image}"
        return set(cluster.kubectl("get", "deployments,statefulsets", "-n", "serving", "-o", f"jsonpath={query}").split())

    def secrets(self, cluster: Cluster) -> dict[str, Any]:
        found = json.loads(
            cluster.kubectl("get", "secrets", "-n", "serving", "-l", "app.kubernetes.io/part-of=headgate", "-o", "json")
        )
        return {item["metadata"]["name"]: item["data"] for item in found["items"]}

    def pool_schema(self, cluster: Cluster) -> Any:
        definition = json.loads(cluster.kubectl("get", "crd", "modelpools.headgate.dev", "-o", "json"))
        return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


class TestCrdUpgrade:
    """What the hook's Job runs, with the rights that the hook's account gets."""

    @pytest.fixture
    def account(self, cluster: Cluster, namespace: str) -> Iterator[Path]:
        options = ("-n", namespace, "--set", "crds.upgrade.enabled=true", "-s", "templates/crds/upgrade-job.yaml")
        hook = Rendered(list(yaml.safe_load_all(cluster.helm("template", "hg", str(CHART), *options))))
        (job,) = hook.all("Job")
        assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["python", *PROGRAM]
        cluster.apply(*(thing for thing in hook.objects if thing is not job), namespace=namespace)
        yield cluster.kubeconfig_for("hg-headgate-crd-upgrade", namespace)
        cluster.kubectl("delete", "clusterrole,clusterrolebinding", f"{namespace}-hg-headgate-crd-upgrade")

    def run(self, account: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *PROGRAM, "--kubeconfig", str(account)]
        return subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=60, check=False)

    def test_brings_older_definitions_up_to_date(self, cluster: Cluster, account: Path, tmp_path: Path) -> None:
        cluster.install_crds_from(previous_chart(tmp_path) / "crds")
        done = self.run(account)
        assert done.returncode == 0, done.stderr
        for path in sorted((CHART / "crds").glob("*.yaml")):
            wanted = yaml.safe_load(path.read_text())
            seen = json.loads(cluster.kubectl("get", "crd", wanted["metadata"]["name"], "-o", "json"))
            assert seen["spec"]["versions"] == wanted["spec"]["versions"]

    def test_its_account_may_touch_no_other_definition(self, cluster: Cluster, account: Path) -> None:
        cluster.install_crds("monitoring")
        with pytest.raises(CommandFailed, match="forbidden"):
            cluster.kubectl("label", "crd", "servicemonitors.monitoring.coreos.com", "a=b", kubeconfig=account)
        with pytest.raises(CommandFailed, match="forbidden"):
            cluster.kubectl("delete", "crd", "modelpools.headgate.dev", kubeconfig=account)

    def test_says_why_it_failed(self, cluster: Cluster, namespace: str) -> None:
        cluster.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
        done = self.run(cluster.kubeconfig_for("nobody", namespace))
        assert done.returncode == 1
        assert "CRDs were not applied" in done.stderr
        assert "Forbidden" in done.stderr


class TestHelmTest:
    async def test_asks_a_router_and_tells_the_outcome(self, cluster: Cluster, release: str, tmp_path: Path) -> None:
        async with Stack(tmp_path, {"kind": "simulated"}, 1) as stack:
            assert "Succeeded" in await self.play(cluster, release, stack.url)
        with pytest.raises(CommandFailed, match="pod hg-headgate-test failed"):
            await self.play(cluster, release, "http://127.0.0.1:9")

    async def play(self, cluster: Cluster, namespace: str, address: str) -> str:
        """`helm test`, with the pod's own command run here, against a router at `address`."""
        verdict = asyncio.create_task(
            asyncio.to_thread(cluster.helm, "test", "hg", "--namespace", namespace, "--timeout", "120s")
        )
        path = f"/api/v1/namespaces/{namespace}/pods/hg-headgate-test"
        pod = await asyncio.to_thread(eventually, lambda: self.running(cluster, path), "the test pod")
        (container,) = pod["spec"]["containers"]
        script = container["args"][0].replace("LONGEST_WAIT_S = 60", "LONGEST_WAIT_S = 1")
        (asked,) = [variable["value"] for variable in container["env"] if variable["name"] == "HEADGATE_URL"]
        assert asked == "http://hg-headgate-router:80"
        process = await asyncio.create_subprocess_exec(
            sys.executable, *container["command"][1:], script, env={"HEADGATE_URL": address}
        )
        phase = "Failed" if await process.wait() else "Succeeded"
        await asyncio.to_thread(cluster.rest, "PATCH", f"{path}/status", {"status": {"phase": phase}}, MERGE)
        return await verdict

    def running(self, cluster: Cluster, path: str) -> Any:
        try:
            pod = cluster.rest("GET", path)
        except ApiError as refused:
            if refused.status == 404:
                return None
            raise
        return pod if pod["status"].get("phase") == "Running" else None
