"""The API server's REST interface by the standard library, for what a test asks often or kubectl cannot say."""

import http.client
import json
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

_TIMEOUT_S = 30.0


class ApiError(Exception):
    """The API server refused. `status` is the HTTP status, `reason` the Status object's (such as Forbidden)."""

    def __init__(self, status: int, body: str) -> None:
        self.status = status
        try:
            said = json.loads(body)
            self.reason, message = str(said.get("reason", "")), str(said.get("message", body))
        except (ValueError, AttributeError):
            self.reason, message = "", body
        super().__init__(f"{status} {self.reason}: {message}")


class Rest:
    """One connection per request, so that it survives every restart of the server. Usable from any thread."""

    def __init__(self, url: str, authority: Path, token: str) -> None:
        self._host = urllib.parse.urlsplit(url).netloc
        self._authority, self._token = authority, token

    def __call__(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """The answer's JSON, or its text. Raises ApiError for a status of 400 or more, OSError where nobody answers."""
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "Content-Type": content_type}
        context = ssl.create_default_context(cafile=self._authority)
        connection = http.client.HTTPSConnection(self._host, timeout=_TIMEOUT_S, context=context)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ApiError(answer.status, text)
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text
