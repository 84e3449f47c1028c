"""The connection to an OpenAI-compatible server: calls, streams, and every way they fail as the engine seam's errors.

No error text or log line holds the key, a prompt, or what the server says about either.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from workers.config import OpenAIHttpEngine
from workers.engine import EngineFailed
from workers.engines.openai_http.stream import events, refusal

LONGEST_REFUSAL_BYTES = 64 * 1024
CALL_S = 60.0
LINGER_S = 0.1


class Server:
    """Makes its connections when they are first needed, on the event loop that needs them."""

    def __init__(self, settings: OpenAIHttpEngine) -> None:
        self._settings = settings
        # Both forms are in use: with the /v1 that clients are given, and without.
        self._root = settings.base_url.rstrip("/").removesuffix("/v1")
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self.hopeless = False  # no use in trying again: the key is missing or refused, or we are closed

    async def get_json(self, path: str) -> dict[str, Any]:
        """Raises EngineFailed, also where the answer is no JSON object."""
        return _object(await self._whole("GET", path, None))

    async def get(self, path: str) -> bytes:
        return await self._whole("GET", path, None)

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A unary call. Raises InvalidGeneration, EngineBusy or EngineFailed."""
        return _object(await self._whole("POST", path, body))

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a streamed call; closing it hangs up, which ends the request in the server. Raises as `call` does."""
        idle = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_s, sock_read=self._settings.idle_s)
        try:
            async with self._open().post(
                self._root + path, data=orjson.dumps(body), timeout=idle, allow_redirects=False
            ) as response:
                await self._check(response)
                async for event in events(response.content.iter_any()):
                    yield event
                # The answer is whole. Its connection serves the next call only if it is read to its end, which is a few bytes
                # away on a server that behaves.
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with asyncio.timeout(LINGER_S):
                        await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise self._unreachable(fault) from fault
        except RuntimeError as fault:
            if self._closed:  # aiohttp's way to say that its session was closed under a reader
                raise EngineFailed("this engine was closed") from fault
            raise

    async def close(self) -> None:
        self._closed = self.hopeless = True
        if self._session is not None:
            await self._session.close()

    async def _whole(self, method: str, path: str, body: dict[str, Any] | None) -> bytes:
        limit = aiohttp.ClientTimeout(total=CALL_S, sock_connect=self._settings.connect_s)
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._open().request(
                method, self._root + path, data=data, timeout=limit, allow_redirects=False
            ) as response:
                await self._check(response)
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            raise self._unreachable(fault) from fault

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        self.hopeless = response.status in (401, 403)
        if response.status >= 300:  # a redirect is not followed: it would carry the key elsewhere
            raise refusal(response.status, await response.content.read(LONGEST_REFUSAL_BYTES))

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise EngineFailed("this engine was closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"content-type": "application/json", **self._authorization()},
                connector=aiohttp.TCPConnector(limit=0),
                auto_decompress=True,
            )
        return self._session

    def _authorization(self) -> dict[str, str]:
        name = self._settings.api_key_env
        if name is None:
            return {}
        key = os.environ.get(name, "").strip()
        if not key:
            self.hopeless = True
            raise EngineFailed(f"api_key_env: the environment variable {name} is not set")
        return {"authorization": f"Bearer {key}"}

    def _unreachable(self, fault: Exception) -> EngineFailed:
        # The fault's own text may hold the URL, and a URL may hold a password.
        return EngineFailed(f"the server behind this worker can't be reached or broke off ({type(fault).__name__})")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise EngineFailed("the server's answer is not a JSON object")
    return said
