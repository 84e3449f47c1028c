"""Values of Secrets, one `get` each: this program may neither list nor watch them. They leave here as
digests, but for the one that Ray has to be shown.

What was read is good for `keep_s`. While the API server is away the last values stand, since a tenant must not lose its key by
that; a Secret that is gone for certain is gone.
"""

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from controlplane.cluster.kinds import SECRET, ref_of
from controlplane.errors import ApiError, NotFound
from controlplane.world import Object, Ref

KEEP_S = 30.0


class Reader(Protocol):
    async def get(self, ref: Ref) -> Object: ...


@dataclass(frozen=True, slots=True)
class _Read:
    at_s: float
    digests: dict[str, bytes] | None  # by key; None: there is no such Secret


class Secrets:
    """`clock` gives monotonic seconds."""

    def __init__(self, api: Reader, keep_s: float = KEEP_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._keep_s = keep_s
        self._clock = clock
        self._read: dict[tuple[str, str], _Read] = {}

    async def digest(self, namespace: str, name: str, key: str) -> bytes | None:
        """SHA-256 of that key's value without surrounding white space; None where there is none. Raises ApiError."""
        return (await self._look(namespace, name) or {}).get(key)

    async def value(self, namespace: str, name: str, key: str) -> str | None:
        """The value itself, for what has to be shown to somebody else; never kept. Raises ApiError."""
        try:
            encoded = ((await self._api.get(ref_of(SECRET, namespace, name))).get("data") or {}).get(key)
        except NotFound:
            return None
        return None if encoded is None else base64.b64decode(encoded).decode().strip()

    async def missing(self, namespace: str, wanted: set[tuple[str, str]]) -> tuple[str, ...]:
        """Those of the (name, key) pairs that are not there, as "name/key", sorted. Raises ApiError."""
        return tuple([f"{name}/{key}" for name, key in sorted(wanted) if await self.digest(namespace, name, key) is None])

    async def _look(self, namespace: str, name: str) -> dict[str, bytes] | None:
        place, now_s = (namespace, name), self._clock()
        known = self._read.get(place)
        digests: dict[str, bytes] | None
        if known is not None and now_s < known.at_s + self._keep_s:
            return known.digests
        try:
            data = (await self._api.get(ref_of(SECRET, namespace, name))).get("data") or {}
            digests = {key: digest for key, value in data.items() if (digest := _digest(value)) is not None}
        except NotFound:
            digests = None
        except ApiError:
            if known is None:
                raise
            return known.digests
        self._read[place] = _Read(now_s, digests)
        return digests


def _digest(encoded: str) -> bytes | None:
    """None for an empty value: it must not become a key that everybody has."""
    try:
        value = base64.b64decode(encoded).strip()
    except binascii.Error:
        return None
    return sha256(value).digest() if value else None
