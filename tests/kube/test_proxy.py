"""The fault-injecting proxy, with a real kubectl as its client."""

import asyncio
import json
import signal
import ssl

import aiohttp
import pytest

from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.objects import Manifest
from tests.kube.cluster.proxy import Answer, Cut, FaultyProxy, Request, refusal

pytestmark = pytest.mark.requires("kube")


def config_map(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}


class Kubectl:
    """kubectl as a client of the proxy, to be killed."""

    def __init__(self, cluster: Cluster, proxy: FaultyProxy, namespace: str) -> None:
        self._command = [str(cluster.kit.program("kubectl")), f"--namespace={namespace}"]
        self._environment = {"KUBECONFIG": str(proxy.kubeconfig), "HOME": str(cluster.folder)}
        self.process: asyncio.subprocess.Process

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Its exit code, and what it said."""
        pipe, both = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
        self.process = await asyncio.create_subprocess_exec(
            *self._command, *arguments, stdout=pipe, stderr=both, env=self._environment
        )
        said, _ = await self.process.communicate()
        return self.process.returncode or 0, said.decode()


async def has(cluster: Cluster, namespace: str, name: str) -> bool:
    maps = await asyncio.to_thread(cluster.rest, "GET", f"/api/v1/namespaces/{namespace}/configmaps")
    return name in [one["metadata"]["name"] for one in maps["items"]]


async def test_a_client_can_be_killed_before_or_after_the_server_heard_it(cluster: Cluster, namespace: str) -> None:
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:
        kubectl = Kubectl(cluster, proxy, namespace)

        async def kill_unheard(request: Request) -> None:
            if request.method == "POST":
                kubectl.process.kill()
                raise Cut

        async def kill_heard(request: Request, answer: Answer) -> None:
            if request.method == "POST":
                assert answer.status == 201
                kubectl.process.kill()

        proxy.before = kill_unheard
        assert await kubectl("create", "configmap", "unheard") == (-signal.SIGKILL, "")
        proxy.before, proxy.after = None, kill_heard
        assert await kubectl("create", "configmap", "heard") == (-signal.SIGKILL, "")
        assert not await has(cluster, namespace, "unheard")
        assert await has(cluster, namespace, "heard")
        posts = [request.body for request in proxy.seen if request.method == "POST"]
        assert [name in body for name, body in zip((b"unheard", b"heard"), posts, strict=True)] == [True, True]


@pytest.mark.parametrize(("status", "reason"), [(409, "Conflict"), (500, "InternalError"), (503, "ServiceUnavailable")])
async def test_the_proxy_answers_what_it_is_told_to(cluster: Cluster, namespace: str, status: int, reason: str) -> None:
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:

        async def refuse(request: Request) -> Answer | None:
            return refusal(status, reason) if request.method == "POST" else None

        proxy.before = refuse
        code, said = await Kubectl(cluster, proxy, namespace)("create", "configmap", "refused", "-v=6")
        assert code == 1
        assert f'status="{status} ' in said
        assert not await has(cluster, namespace, "refused")


async def test_who_is_told_to_come_back_later_does(cluster: Cluster, namespace: str) -> None:
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:
        told: list[Request] = []

        async def busy_once(request: Request) -> Answer | None:
            if request.method == "POST" and not told:
                told.append(request)
                return refusal(429, "TooManyRequests", Retry_After="1")
            return None

        proxy.before = busy_once
        assert await Kubectl(cluster, proxy, namespace)("create", "configmap", "later") == (0, "configmap/later created\n")
        assert told


async def test_a_proxy_that_refuses_looks_like_a_server_that_is_down(cluster: Cluster, namespace: str) -> None:
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:
        kubectl = Kubectl(cluster, proxy, namespace)
        proxy.refuses = True
        code, _ = await kubectl("create", "configmap", "late", "--validate=false")
        assert code == 1
        proxy.refuses = False
        assert (await kubectl("create", "configmap", "late"))[0] == 0


async def test_watches_stream_through_the_proxy_and_can_be_cut(cluster: Cluster, namespace: str) -> None:
    async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy, aiohttp.ClientSession() as session:
        token = json.loads(proxy.kubeconfig.read_text())["users"][0]["user"]["token"]
        url = f"{proxy.url}/api/v1/namespaces/{namespace}/configmaps?watch=true"
        trust = ssl.create_default_context(cafile=cluster.layout.authority)
        async with session.get(url, ssl=trust, headers={"Authorization": f"Bearer {token}"}) as watch:
            await asyncio.to_thread(cluster.apply, config_map("fresh"), namespace=namespace)
            async for line in watch.content:
                event = json.loads(line)
                if (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "fresh"):
                    break
            assert proxy.cut_watches() == 1
            with pytest.raises(aiohttp.ClientError):
                await watch.content.read()
        assert [request.watch for request in proxy.seen] == [True]


async def test_what_goes_wrong_in_a_hook_fails_the_test(cluster: Cluster, namespace: str) -> None:
    async def broken(request: Request) -> None:
        raise ZeroDivisionError(request.path)

    async def ask() -> None:
        async with FaultyProxy(cluster, cluster.admin_kubeconfig) as proxy:
            proxy.before = broken
            await Kubectl(cluster, proxy, namespace)("get", "--raw=/version")

    with pytest.raises(ExceptionGroup, match="in the proxy's hooks") as caught:
        await ask()
    assert caught.group_contains(ZeroDivisionError, match="/version")


async def test_the_api_server_may_be_down_behind_the_proxy(own_cluster: Cluster) -> None:
    async with FaultyProxy(own_cluster, own_cluster.admin_kubeconfig) as proxy:
        kubectl = Kubectl(own_cluster, proxy, "default")
        assert (await kubectl("get", "--raw=/readyz")) == (0, "ok")
        own_cluster.stop_api_server()
        assert (await kubectl("get", "--raw=/readyz"))[0] == 1
        await asyncio.to_thread(own_cluster.start_api_server)
        assert (await kubectl("get", "--raw=/readyz")) == (0, "ok")
