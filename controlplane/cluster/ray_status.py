"""What a pool's Ray says of itself, asked at its head: KubeRay's own status freezes when Ray dies.

Ray's REST API (ServeInstanceDetails): GET /api/serve/applications/ on the head's port 8265. The head is a tenant's pod, so the
answer is bounded and checked.
"""

import time

import aiohttp
from pydantic import BaseModel, Field

from controlplane.world import RaySeen

_PATH = "/api/serve/applications/"
_LONGEST_BYTES = 4 * 1024 * 1024


class _Replica(BaseModel):
    state: str


class _Deployment(BaseModel):
    replicas: list[_Replica] = Field(default_factory=list)


class _Application(BaseModel):
    status: str
    deployments: dict[str, _Deployment] = Field(default_factory=dict)


class _Serve(BaseModel):
    applications: dict[str, _Application]


async def ask(address: str, token: str | None, timeout_s: float) -> RaySeen:
    """`address` is the head's, as http://host:8265. Never raises: `fault` says what went wrong, never the token."""
    asked_s = time.time()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # No proxy from the environment: the head is a pod.
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s), trust_env=False) as session,
            session.get(f"{address}{_PATH}", headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                return RaySeen(asked_s, answered=False, fault=_refusal(answer.status))
            serve = _Serve.model_validate_json(await _body(answer))
    except TimeoutError:
        return RaySeen(asked_s, answered=False, fault=f"no answer in {timeout_s:g} s")
    except aiohttp.ClientError as fault:
        return RaySeen(asked_s, answered=False, fault=f"cannot be reached ({type(fault).__name__})")
    except ValueError:
        return RaySeen(asked_s, answered=False, fault="what answers there is not Ray Serve")
    statuses = {name: application.status for name, application in serve.applications.items()}
    return RaySeen(asked_s, answered=True, applications=statuses, replicas=_running(serve))


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Raises ValueError where it is too long."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _LONGEST_BYTES:
            raise ValueError("too long")
    return bytes(body)


def _refusal(status: int) -> str:
    return f"HTTP {status}" + ": it wants another token" * (status in (401, 403))


def _running(serve: _Serve) -> int:
    deployments = (each for application in serve.applications.values() for each in application.deployments.values())
    return sum(replica.state == "RUNNING" for deployment in deployments for replica in deployment.replicas)
