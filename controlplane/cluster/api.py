"""The Kubernetes API as this program uses it: server-side apply, bounded in time, with our errors. One client per process.

Connection, TLS and credentials (kubeconfig, or the pod's own service account, whose token is read again as it rotates) are the
official client's; requests go below its generated classes, since objects are plain dicts here.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import kopf
import orjson
from kubernetes.aio import client, config
from kubernetes.aio.client.api_client import ApiClient

from controlplane.cluster.kinds import KINDS, Kind
from controlplane.errors import ApiError, ConfigError, Conflict, NotFound, Refused, Unavailable
from controlplane.names import FIELD_MANAGER
from controlplane.world import Object, Ref

REQUEST_S = 5.0
PAGE = 500
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_LONGEST_TEXT = 500


@asynccontextmanager
async def connected(kubeconfig: Path | None) -> AsyncIterator["Api"]:
    """Opens the client: from this kubeconfig, or from where the pod's service account says. Raises ConfigError."""
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings)
        else:
            await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings, persist_config=False)
    except (config.ConfigException, OSError) as fault:
        raise ConfigError(f"no way to the Kubernetes API: {fault}") from fault
    async with ApiClient(configuration=settings) as transport:
        yield Api(transport)


class Api:
    """`calls` counts requests by (verb, plural), for metrics and for the bench."""

    def __init__(self, transport: ApiClient, request_s: float = REQUEST_S) -> None:
        self._transport = transport
        self._request_s = request_s
        self.calls: Counter[tuple[str, str]] = Counter()

    async def login(self) -> kopf.ConnectionInfo:
        """The same way in, for kopf. It asks again when the server has had enough of a token."""
        settings = self._transport.configuration
        token = await settings.get_api_key_with_prefix("BearerToken")
        return kopf.ConnectionInfo(
            server=settings.host,
            ca_path=settings.ssl_ca_cert,
            insecure=not settings.verify_ssl,
            scheme="Bearer" if token else None,
            token=token.rpartition(" ")[2] if token else None,
            certificate_path=settings.cert_file,
            private_key_path=settings.key_file,
        )

    async def get(self, ref: Ref) -> Object:
        """Raises NotFound, and the other ApiErrors."""
        kind = KINDS[ref.kind]
        return await self._call("get", kind, kind.path(ref.namespace, ref.name))

    async def list(self, kind: Kind, namespace: str | None) -> tuple[list[dict[str, Any]], int]:
        """Every object that the kind's selector matches, and the resource version at which that was so. Read in pages."""
        items: list[dict[str, Any]] = []
        query = {"limit": str(PAGE)} | ({"labelSelector": kind.selector} if kind.selector else {})
        while True:
            page = await self._call("list", kind, kind.path(namespace), query=query, bound_s=30.0)
            for item in page["items"]:
                item.setdefault("kind", kind.kind)
                item.setdefault("apiVersion", kind.api)
            items += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return items, int(page["metadata"]["resourceVersion"])
            query["continue"] = token

    async def apply(self, wanted: Object, part: str = "") -> Object:
        """Server-side apply as our field manager; takes fields over from others. `part` is a subresource, such as status."""
        kind, meta = KINDS[wanted["kind"]], wanted["metadata"]
        path = kind.path(meta.get("namespace"), meta["name"], part)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call("patch", kind, path, query=query, body=wanted, content=_APPLY)

    async def create(self, wanted: Object) -> Object:
        kind, meta = KINDS[wanted["kind"]], wanted["metadata"]
        return await self._call("create", kind, kind.path(meta["namespace"]), body=wanted)

    async def replace(self, wanted: Object) -> Object:
        """Raises Conflict unless the object still has the resource version that `wanted` names."""
        kind, meta = KINDS[wanted["kind"]], wanted["metadata"]
        return await self._call("update", kind, kind.path(meta["namespace"], meta["name"]), body=wanted)

    async def delete(self, ref: Ref, uid: str) -> None:
        """Deletes that very object, not one that was made anew under its name. It being gone already is well."""
        kind = KINDS[ref.kind]
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._call("delete", kind, kind.path(ref.namespace, ref.name), body=body)
        except NotFound:
            return

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster has this kind at this version."""
        root = f"/apis/{kind.api}" if "/" in kind.api else f"/api/{kind.api}"
        try:
            found = await self._send("GET", root, {}, None, _JSON, self._request_s)
        except NotFound:
            return False
        return any(entry["name"] == kind.plural for entry in found["resources"])

    async def minor_version(self) -> int:
        """36 for Kubernetes 1.36."""
        found = await self._send("GET", "/version", {}, None, _JSON, self._request_s)
        return int("".join(filter(str.isdigit, found["minor"])))

    async def _call(
        self,
        verb: str,
        kind: Kind,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = _JSON,
        bound_s: float | None = None,
    ) -> dict[str, Any]:
        self.calls[verb, kind.plural] += 1
        bound_s = bound_s or self._request_s
        # The server, too, stops working on a request that we no longer wait for: a write can't come late.
        query = {**(query or {}), "timeout": f"{max(1, int(bound_s))}s"}
        return await self._send(_METHODS[verb], path, query, body, content, bound_s)

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Object | None, content: str, bound_s: float
    ) -> dict[str, Any]:
        ready = await self._transport.param_serialize(
            method,
            quote(path),
            query_params=list(query.items()),
            header_params={"Accept": _JSON, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            async with asyncio.timeout(bound_s):
                answer = await self._transport.call_api(*ready, _request_timeout=aiohttp.ClientTimeout(total=bound_s))
                content_read = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise Unavailable(f"{method} {path}: {type(fault).__name__}: {fault}") from fault
        if answer.status >= 300:
            raise _error(answer.status, f"{method} {path}", content_read)
        return orjson.loads(content_read) if content_read else {}


_METHODS = {"get": "GET", "list": "GET", "patch": "PATCH", "create": "POST", "update": "PUT", "delete": "DELETE"}


def _error(status: int, call: str, content: bytes) -> ApiError:
    """Which of our errors a refusal is. 403 may pass, since a role may be on its way, but is no reason to hurry."""
    try:
        message = str(orjson.loads(content)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = content.decode(errors="replace")
    text = f"{call}: {status}: {message[:_LONGEST_TEXT]}"
    if status == 404:
        return NotFound(text)
    if status == 409:
        return Conflict(text)
    if status == 429 or status >= 500:
        return Unavailable(text)
    return Refused(text)
