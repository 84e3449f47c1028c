"""What `helm test` runs in its pod, against a router that says this or that."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.helm.chart import CHART

Answers = dict[str, tuple[int, str]]
READY = {"/readyz": (200, '{"status":"ready"}')}
MODELS = (200, '{"data":[{"id":"small"},{"id":"m"}]}')


@contextmanager
def router(answers: Answers, keys: list[str]) -> Iterator[str]:
    """A server that gives these answers, and writes down the keys it was shown."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("authorization", ""))
            status, body = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test looks at answers."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def ask(answers: Answers, key: str = "") -> tuple[int, str, list[str]]:
    keys: list[str] = []
    with router(answers, keys) as address:
        env = {"HEADGATE_URL": address} | ({"HEADGATE_API_KEY": key} if key else {})
        command = [sys.executable, str(CHART / "files" / "ask.py")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout, keys


@pytest.mark.parametrize(
    ("models", "key", "code", "said"),
    [
        (MODELS, "", 0, "ready; models: small, m"),
        (MODELS, "k", 0, "ready; models: small, m"),
        ((200, '{"data":[]}'), "", 0, "none yet"),
        ((401, "{}"), "", 0, "needs a key"),
        ((401, "{}"), "wrong", 1, "needs a key"),
        ((500, "oops"), "", 1, "500 oops"),
    ],
)
def test_what_it_says_of_the_answers(models: tuple[int, str], key: str, code: int, said: str) -> None:
    status, output, keys = ask(READY | {"/v1/models": models}, key)
    assert (status, said in output) == (code, True)
    assert set(keys) == {f"Bearer {key}" if key else ""}
