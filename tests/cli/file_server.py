"""A small HTTP server that serves one file the way real ones fail: cut connections, no ranges, refusals, other content."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass
class Plan:
    """What the server does, request by request.

    cuts       after how many bytes the n-th answer is cut off; further answers are whole
    statuses   status of the n-th answer in place of success
    ranges     whether a Range header is understood
    """

    content: bytes
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


class FileServer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(plan))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(plan: Plan) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            plan.asked.append(self.headers.get("Range", ""))
            plan.logins.append(self.headers.get("Authorization", ""))
            if plan.statuses and (status := plan.statuses.pop(0)):
                self.send_error(status)
                return
            start = int(self.headers["Range"][len("bytes=") : -1]) if plan.ranges and "Range" in self.headers else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(plan.content) - 1}/{len(plan.content)}")
            self.send_header("Content-Length", str(len(plan.content) - start))
            self.end_headers()
            sent = plan.content[start:]
            self.wfile.write(sent[: plan.cuts.pop(0)] if plan.cuts else sent)

        def log_message(self, format: str, *args: object) -> None:
            """A test's output is not the place for it."""

    return Handler
