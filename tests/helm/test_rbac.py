"""What the control plane may do. That it is also all it needs is shown on the real API server, by its audit (tests/kube)."""

import pytest

from tests.helm.chart import NAMESPACE, Object, Rendered, render
from tests.helm.variants import VARIANTS

pytestmark = pytest.mark.requires("helm")


def rules(role: Object) -> set[tuple[str, str]]:
    """(resource, verb) pairs of a role."""
    return {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def subjects(rendered: Rendered) -> dict[tuple[str, str], list[Object]]:
    bindings = [*rendered.all("RoleBinding"), *rendered.all("ClusterRoleBinding")]
    return {
        (b["roleRef"]["kind"], f"{b['metadata'].get('namespace', '')}/{b['roleRef']['name']}"): b["subjects"] for b in bindings
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_no_wildcards_and_no_dangerous_rights(name: str) -> None:
    rendered = render(VARIANTS[name])
    for role in [*rendered.all("Role"), *rendered.all("ClusterRole")]:
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
            assert not {"pods/exec", "pods/attach", "serviceaccounts/token", "roles", "clusterroles"} & set(rule["resources"])
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_role_is_bound_to_the_account_of_one_program(name: str) -> None:
    rendered = render(VARIANTS[name])
    roles = {("Role", f"{r['metadata']['namespace']}/{r['metadata']['name']}") for r in rendered.all("Role")}
    roles |= {("ClusterRole", f"/{r['metadata']['name']}") for r in rendered.all("ClusterRole")}
    accounts = {account["metadata"]["name"] for account in rendered.all("ServiceAccount")}
    bound = subjects(rendered)
    assert bound.keys() == roles
    for (subject,) in bound.values():
        assert subject["namespace"] == NAMESPACE
        assert subject["name"] in accounts - {"edge-headgate-router"}


def test_alone_in_its_namespace_it_sees_only_nodes_of_the_cluster() -> None:
    rendered = render()
    (role,) = rendered.all("ClusterRole")
    assert rules(role) == {("nodes", "list"), ("nodes", "watch")}
    assert {r["metadata"]["namespace"] for r in rendered.all("Role")} == {NAMESPACE}


def test_each_named_namespace_gets_a_role_with_the_same_rights() -> None:
    rendered = render({"namespaces": ["team-a", "team-b"]})
    watched = {
        r["metadata"]["namespace"]: rules(r) for r in rendered.all("Role") if not r["metadata"]["name"].endswith("-leader")
    }
    assert watched.keys() == {"team-a", "team-b"}
    assert watched["team-a"] == watched["team-b"]


def test_all_namespaces_need_a_cluster_role_with_the_same_rights() -> None:
    everywhere, alone = render({"namespaces": ["*"]}), render()
    (cluster_role,) = everywhere.all("ClusterRole")
    (role,) = [r for r in alone.all("Role") if not r["metadata"]["name"].endswith("-leader")]
    assert rules(cluster_role) == rules(role) | {("nodes", "list"), ("nodes", "watch")}
    assert [r["metadata"]["name"] for r in everywhere.all("Role")] == ["edge-headgate-controlplane-leader"]


def test_leases_may_be_kept_but_not_made() -> None:
    (rule,) = render().one("Role", "controlplane-leader")["rules"]
    assert (rule["resourceNames"], rule["verbs"]) == (["edge-headgate-controlplane"], ["get", "update"])


def test_secrets_may_be_narrowed_to_names() -> None:
    rendered = render({"controlplane": {"rbac": {"secretNames": ["keys"]}}})
    (role,) = [r for r in rendered.all("Role") if not r["metadata"]["name"].endswith("-leader")]
    (rule,) = [rule for rule in role["rules"] if "secrets" in rule["resources"]]
    assert rule["resourceNames"] == ["keys"]


def test_two_releases_do_not_share_cluster_wide_names() -> None:
    """Cluster-wide objects have no namespace, so their names carry it."""
    assert {r["metadata"]["name"] for r in render().all("ClusterRole")} == {"serving-edge-headgate-controlplane"}
