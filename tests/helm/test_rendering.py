"""What the chart makes of its values: shapes that would be found out only in a cluster, or never."""

import shutil
from math import isclose
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.config import ControlPlaneConfig
from router.config import RouterConfig
from tests.helm.chart import CHART, NAMESPACE, ChartFailed, Object, Rendered, render
from tests.helm.variants import POOL, VARIANTS

pytestmark = pytest.mark.requires("helm")


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Rendered:
    return render(VARIANTS[request.param])


@pytest.fixture(scope="module")
def default() -> Rendered:
    return render()


@pytest.fixture(scope="module")
def everything() -> Rendered:
    return render(VARIANTS["everything"])


def labels_of(thing: Object) -> dict[str, str]:
    labels: dict[str, str] = thing["spec"]["template"]["metadata"]["labels"]
    return labels


class TestObjects:
    def test_names_are_unique_and_not_too_long(self, variant: Rendered) -> None:
        names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in variant.objects]
        assert len(names) == len(set(names))
        assert all(len(name) <= 63 for _, _, name in names)

    def test_namespaced_objects_say_where_they_belong(self, variant: Rendered) -> None:
        assert {o["kind"] for o in variant.objects if "namespace" not in o["metadata"]} <= {"ClusterRole", "ClusterRoleBinding"}

    def test_everything_carries_the_release_s_labels(self, variant: Rendered) -> None:
        for thing in variant.objects:
            labels = thing["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == "edge"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert labels["helm.sh/chart"].startswith("headgate-")

    def test_common_labels_are_everywhere_but_in_selectors(self, everything: Rendered) -> None:
        assert all(o["metadata"]["labels"]["example.com/cost-centre"] == "4711" for o in everything.objects)
        assert "example.com/cost-centre" not in str(everything.one("Service", "router")["spec"])

    def test_a_long_release_name_still_gives_valid_names(self) -> None:
        long = render({"fullnameOverride": "x" * 80, "crds": {"upgrade": {"enabled": True}}})
        assert max(len(o["metadata"]["name"]) for o in long.objects) <= 63

    def test_declared_resources_come_with_the_release(self, everything: Rendered) -> None:
        (pool,) = everything.all("ModelPool")
        assert (pool["metadata"]["name"], pool["metadata"]["namespace"], pool["spec"]) == ("small", NAMESPACE, POOL["spec"])
        (tenant,) = everything.all("Tenant")
        assert tenant["metadata"]["labels"]["team"] == "search"
        (policy,) = everything.all("RoutingPolicy")
        assert policy["metadata"]["annotations"] == {"why": "cost"}


class TestPods:
    def test_restricted_pod_security(self, variant: Rendered) -> None:
        """The Pod Security Standard `restricted`, and a read-only root besides."""
        for name, pod in variant.pods():
            assert pod["securityContext"]["runAsNonRoot"] is True, name
            assert pod["securityContext"]["runAsUser"] > 0
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
            assert not any("hostPath" in volume for volume in pod.get("volumes", []))
            assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()

    def test_only_what_talks_to_the_api_server_gets_a_token(self, everything: Rendered) -> None:
        with_token = {name for name, pod in everything.pods() if pod["automountServiceAccountToken"]}
        assert with_token == {"edge-headgate-controlplane", "edge-headgate-crd-upgrade"}
        assert not any(account["automountServiceAccountToken"] for account in everything.all("ServiceAccount"))

    def test_memory_is_bounded_and_cpu_is_not(self, variant: Rendered) -> None:
        for _, pod in variant.pods():
            for container in pod["containers"]:
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
                assert container["resources"]["limits"].keys() == {"memory"}

    def test_every_mount_has_its_volume(self, variant: Rendered) -> None:
        claimed = {"data"} if variant.all("StatefulSet") else set()
        for name, pod in variant.pods():
            mounts = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            assert volumes <= mounts <= volumes | claimed, name

    def test_selectors_match_the_pods_that_they_mean(self, variant: Rendered) -> None:
        pods = {o["metadata"]["name"]: labels_of(o) for kind in ("Deployment", "StatefulSet") for o in variant.all(kind)}
        for service in variant.all("Service"):
            chosen = [name for name, labels in pods.items() if service["spec"]["selector"].items() <= labels.items()]
            assert chosen == [service["metadata"]["name"]]
        for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            for thing in variant.all(kind):
                chosen = [n for n, labels in pods.items() if thing["spec"]["selector"]["matchLabels"].items() <= labels.items()]
                assert chosen == [thing["metadata"]["name"]]

    def test_ports_of_services_are_ports_of_containers(self, variant: Rendered) -> None:
        pods = {o["metadata"]["name"]: o for kind in ("Deployment", "StatefulSet") for o in variant.all(kind)}
        for service in variant.all("Service"):
            (container,) = pods[service["metadata"]["name"]]["spec"]["template"]["spec"]["containers"]
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= {port["name"] for port in container["ports"]}

    def test_the_platform_s_wishes_reach_every_program(self, everything: Rendered) -> None:
        for program in ("router", "controlplane"):
            template = everything.one("Deployment", program)["spec"]["template"]
            pod, (container,) = template["spec"], template["spec"]["containers"]
            assert template["metadata"]["annotations"]["example.com/note"] == "a"
            assert template["metadata"]["labels"]["example.com/team"] == "platform"
            assert pod["nodeSelector"] == {"pool": "system"}
            assert pod["tolerations"][0]["key"] == "system"
            assert "nodeAffinity" in pod["affinity"]
            assert pod["priorityClassName"] == "system-cluster-critical"
            assert pod["imagePullSecrets"] == [{"name": "registry"}]
            assert [c["whenUnsatisfiable"] for c in pod["topologySpreadConstraints"]] == ["DoNotSchedule"]
            assert {"name": "LOG_LEVEL", "value": "debug"} in container["env"]
            assert container["image"] == f"registry.example.com/headgate/{program}:0.1.0"

    def test_a_digest_wins_over_the_tag(self) -> None:
        digest = f"sha256:{'0' * 64}"
        assert (
            render({"router": {"image": {"tag": "1", "digest": digest}}}).container("Deployment", "router")["image"]
            == f"headgate/router@{digest}"
        )

    def test_pods_spread_by_default(self, default: Rendered) -> None:
        spread = default.one("Deployment", "router")["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [(c["topologyKey"], c["whenUnsatisfiable"]) for c in spread] == [
            ("kubernetes.io/hostname", "ScheduleAnyway"),
            ("topology.kubernetes.io/zone", "ScheduleAnyway"),
        ]


class TestSettings:
    def test_the_router_can_read_its_settings(self, variant: Rendered) -> None:
        config = RouterConfig.model_validate(variant.settings("router"))
        assert config.topology.address == "edge-headgate-controlplane.serving.svc:50052"
        ports = {port["name"]: port["containerPort"] for port in variant.container("Deployment", "router")["ports"]}
        assert ports == {"http": config.http.port, "grpc": config.grpc.port}

    def test_the_control_plane_can_read_its_settings(self, variant: Rendered) -> None:
        config = ControlPlaneConfig.model_validate(variant.settings("controlplane"))
        ports = {port["name"]: port["containerPort"] for port in variant.container("Deployment", "controlplane")["ports"]}
        assert (config.listen, config.http) == (f"0.0.0.0:{ports['grpc']}", f"0.0.0.0:{ports['http']}")
        assert (config.lease.namespace, config.lease.name) == (
            NAMESPACE,
            variant.one("Lease", "controlplane")["metadata"]["name"],
        )

    def test_what_users_set_is_passed_on_beside_the_chart_s_own(self, everything: Rendered) -> None:
        router = RouterConfig.model_validate(everything.settings("router"))
        assert router.limits.max_body_bytes == 41943040
        assert (router.learning.enabled, router.budgets.when_away) == (False, "open")
        assert router.choosers == {"night-shift": "acme.routing:NightShift"}
        assert router.verifiers == {"*": "acme.checks:Answers"}
        control = ControlPlaneConfig.model_validate(everything.settings("controlplane"))
        assert control.gpu_budget == {"nvidia.com/gpu": 64}
        assert isclose(control.lease.duration_s, 20)
        assert (control.platform.endpoint_picker, control.platform.worker_image) == (
            "epp",
            "registry.example.com/headgate/worker:0.1.0",
        )
        assert control.platform.image_pull_secrets == ("registry",)

    def test_pods_are_replaced_when_their_settings_change(self, default: Rendered) -> None:
        def checksum(rendered: Rendered) -> str:
            annotations: dict[str, str] = rendered.one("Deployment", "router")["spec"]["template"]["metadata"]["annotations"]
            return annotations["checksum/config"]

        assert checksum(default) != checksum(render({"router": {"config": {"stale_after_s": 5}}}))
        assert checksum(default) == checksum(render({"controlplane": {"config": {"resync_s": 60}}}))

    @pytest.mark.parametrize(("drain_s", "grace_s"), [(30, 45), (0.5, 16), (600, 615)])
    def test_kubelets_wait_until_the_router_has_drained(self, drain_s: float, grace_s: int) -> None:
        pod = render({"router": {"config": {"drain_s": drain_s}}}).one("Deployment", "router")["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == grace_s

    def test_a_new_chart_alone_restarts_nothing(self, tmp_path: Path) -> None:
        newer = tmp_path / "headgate"
        shutil.copytree(CHART, newer)
        about = yaml.safe_load((newer / "Chart.yaml").read_text())
        (newer / "Chart.yaml").write_text(yaml.safe_dump(about | {"version": "0.1.1"}))
        pods = dict(render(chart=newer).templates())
        assert pods == dict(render().templates())
        assert len(pods) == 3

    def test_an_autoscaler_is_not_fought_over_the_number_of_routers(self, default: Rendered, everything: Rendered) -> None:
        assert default.one("Deployment", "router")["spec"]["replicas"] == 2
        assert not default.all("HorizontalPodAutoscaler")
        assert "replicas" not in everything.one("Deployment", "router")["spec"]
        assert everything.one("HorizontalPodAutoscaler", "router")["spec"]["scaleTargetRef"]["name"] == "edge-headgate-router"


class TestRedis:
    def env(self, rendered: Rendered, program: str) -> dict[str, Any]:
        return {variable["name"]: variable for variable in rendered.container("Deployment", program)["env"]}

    def test_it_may_be_left_out(self) -> None:
        without = render(VARIANTS["least"])
        assert not without.all("StatefulSet")
        assert not any(name.startswith("HEADGATE_REDIS") for name in self.env(without, "router"))

    @pytest.mark.parametrize("name", ["defaults", "Redis without a volume"])
    def test_what_was_answered_is_on_the_disk_and_nothing_is_evicted(self, name: str) -> None:
        """A spend that is forgotten could be spent again."""
        (script,) = render(VARIANTS[name]).container("StatefulSet", "redis")["args"]
        settings = dict(line.split(maxsplit=1) for line in script.splitlines()[1:-1])
        assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "always")
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["requirepass"] == "$REDIS_PASSWORD"

    def test_its_data_is_on_a_volume_that_stays(self, default: Rendered) -> None:
        (claim,) = default.one("StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["resources"] == {"requests": {"storage": "8Gi"}}

    @pytest.mark.parametrize("program", ["router", "controlplane"])
    def test_programs_learn_where_the_release_s_own_is(self, everything: Rendered, program: str) -> None:
        env = self.env(everything, program)
        assert env["HEADGATE_REDIS_URL"]["value"] == "redis://edge-headgate-redis:6379/0"
        reference = env["HEADGATE_REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": everything.one("Secret", "redis")["metadata"]["name"], "key": "password"}

    def test_one_that_runs_elsewhere_is_only_named(self) -> None:
        elsewhere = render(VARIANTS["Redis elsewhere"])
        assert not elsewhere.all("StatefulSet")
        env = self.env(elsewhere, "router")
        assert env["HEADGATE_REDIS_URL"]["value"] == "rediss://cache.example.com:6380/1"
        assert env["HEADGATE_REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "cache", "key": "pw"}

    def test_an_existing_password_is_used_and_none_made(self) -> None:
        rendered = render(VARIANTS["Redis without a volume"])
        assert not rendered.all("Secret")
        (variable,) = rendered.container("StatefulSet", "redis")["env"]
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "redis"
        assert "volumeClaimTemplates" not in rendered.one("StatefulSet", "redis")["spec"]

    def test_one_that_runs_elsewhere_comes_in_place_of_the_release_s_own(self) -> None:
        both = render({"redis": {"enabled": True, "external": {"url": "redis://a:1/0"}}})
        assert not both.all("StatefulSet")
        assert not [policy for policy in both.all("NetworkPolicy") if policy["metadata"]["name"].endswith("redis")]
        env = self.env(both, "router")
        assert env["HEADGATE_REDIS_URL"]["value"] == "redis://a:1/0"
        assert "HEADGATE_REDIS_PASSWORD" not in env


class TestPredictor:
    def mounted(self, rendered: Rendered) -> tuple[str, Object]:
        """Where the volume named predictor is mounted, and what it is."""
        pod = rendered.one("Deployment", "router")["spec"]["template"]["spec"]
        (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "predictor"]
        (volume,) = [v for v in pod["volumes"] if v["name"] == "predictor"]
        # A subPath would never change, and the router looks at its files again.
        assert mount["readOnly"] is True
        assert "subPath" not in mount
        return mount["mountPath"], {key: value for key, value in volume.items() if key != "name"}

    def test_there_is_none_by_default(self, default: Rendered) -> None:
        assert RouterConfig.model_validate(default.settings("router")).predictor.path is None
        assert "predictor" not in str(default.one("Deployment", "router"))

    def test_from_a_config_map(self) -> None:
        rendered = render(VARIANTS["a predictor from a ConfigMap"])
        folder, volume = self.mounted(rendered)
        assert volume == {"configMap": {"name": "predictor"}}
        predictor = RouterConfig.model_validate(rendered.settings("router")).predictor
        assert (predictor.path, predictor.shadow) == (Path(folder) / "chat-v3.npz", None)

    def test_values_kept_from_an_older_release_lack_its_keys(self) -> None:
        """As with `helm upgrade --reuse-values`: null takes a default away."""
        assert render({"router": {"predictor": None}}).objects
        kept = render({"router": {"predictor": {"configMap": "a", "key": None, "shadow": None}}})
        assert RouterConfig.model_validate(kept.settings("router")).predictor.path == Path(
            "/etc/headgate/predictor/artefact.npz"
        )

    def test_from_a_claim_beside_what_the_settings_say(self, everything: Rendered) -> None:
        folder, volume = self.mounted(everything)
        assert volume == {"persistentVolumeClaim": {"claimName": "artefacts", "readOnly": True}}
        predictor = RouterConfig.model_validate(everything.settings("router")).predictor
        assert (predictor.path, predictor.shadow) == (Path(folder) / "chat/v3.npz", Path(folder) / "chat/v4.npz")
        assert isclose(predictor.reload_s, 60)

    @pytest.mark.parametrize(
        ("router", "said"),
        [
            ({"predictor": {"configMap": "a", "existingClaim": "b"}}, "one of router.predictor.configMap and"),
            ({"predictor": {"existingClaim": "b"}}, "router.predictor.path must say where"),
            (
                {"predictor": {"configMap": "a"}, "config": {"predictor": {"path": "/x"}}},
                "one of router.predictor and router.config.predictor.path",
            ),
        ],
    )
    def test_what_contradicts_itself_is_refused(self, router: dict[str, Any], said: str) -> None:
        with pytest.raises(ChartFailed, match=said):
            render({"router": router})


class TestCrdUpgrade:
    def test_runs_before_an_upgrade_with_narrow_rights(self, everything: Rendered) -> None:
        hooks = [o for o in everything.objects if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-upgrade"]
        assert {o["kind"] for o in hooks} == {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"}
        weights = {o["kind"]: int(o["metadata"]["annotations"]["helm.sh/hook-weight"]) for o in hooks}
        assert weights["Job"] > max(weight for kind, weight in weights.items() if kind != "Job")
        (rule,) = everything.one("ClusterRole", "crd-upgrade")["rules"]
        assert set(rule["resourceNames"]) == {"modelpools.headgate.dev", "tenants.headgate.dev", "routingpolicies.headgate.dev"}

    def test_is_off_by_default(self, default: Rendered) -> None:
        assert not default.all("Job")
