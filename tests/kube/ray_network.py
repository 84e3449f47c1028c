"""The cluster's names for KubeRay: a forward proxy that knows the head Services of RayClusters.

KubeRay asks Ray by http://CLUSTER-head-svc.NAMESPACE.svc.cluster.local:8265 and by pod addresses. The latter are this machine's
own in the test network; for the former there is no DNS. Go's clients send plain HTTP to HTTP_PROXY, and what they say to the
API server goes past it, being HTTPS.
"""

import contextlib
import http.client
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.kube.cluster.cluster import Cluster

_SERVICE = re.compile(r"(?P<name>[^.]+)\.(?P<namespace>[^.]+)\.svc(\..*)?")
_PATIENCE_S = 20.0
_PASSED_ON = ("content-type", "accept", "authorization", "x-ray-authorization")


class RayNetwork:
    """Runs until left; `url` is for HTTP_PROXY."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        network = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                network.pass_on(self)

            do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Says nothing: KubeRay asks every two seconds."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        """Sends the request where it belongs, and its answer back; 502 where nobody answers."""
        url = urllib.parse.urlsplit(asked.path)
        body = asked.rfile.read(int(asked.headers.get("content-length") or 0))
        headers = {name: value for name, value in asked.headers.items() if name.lower() in _PASSED_ON}
        try:
            host = self._address_of(url.hostname or "")
            there = http.client.HTTPConnection(host, url.port or 80, timeout=_PATIENCE_S)
            there.request(asked.command, url._replace(scheme="", netloc="").geturl(), body, headers)
            answer = there.getresponse()
            status, kind, said = answer.status, answer.getheader("content-type", "text/plain"), answer.read()
            there.close()
        except (OSError, LookupError, http.client.HTTPException) as fault:
            status, kind, said = 502, "text/plain", repr(fault).encode()
        with contextlib.suppress(OSError):  # KubeRay waits for two seconds and not longer
            asked.send_response(status)
            asked.send_header("content-type", kind)
            asked.send_header("content-length", str(len(said)))
            asked.end_headers()
            asked.wfile.write(said)

    def _address_of(self, host: str) -> str:
        """Where the Service leads: to a pod that its selector names. Raises LookupError where it names none."""
        named = _SERVICE.fullmatch(host)
        if named is None:
            return host
        root = f"/api/v1/namespaces/{named['namespace']}"
        selector = self._cluster.rest("GET", f"{root}/services/{named['name']}")["spec"]["selector"]
        query = urllib.parse.quote(",".join(f"{key}={value}" for key, value in selector.items()))
        pods = self._cluster.rest("GET", f"{root}/pods?labelSelector={query}")["items"]
        addresses = [pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")]
        if not addresses:
            raise LookupError(host)
        return str(addresses[0])
