"""headgate.yaml: what `headgate up` runs. Parsed once, strictly; what comes out is frozen and complete. Starts nothing.

    router:  everything of router/config.py but `topology`, which `headgate up` writes itself
    pools:   one model each: engines to start here (`engine`, `replicas`) or running workers (`addresses`)
    tenants: who may call, and what each may spend; none means open to all
    policies: how a pool is chosen for requests that leave it to the router; tenants name theirs

Relative paths are relative to the file. Every fault is reported with the file, the key's path and what to do.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from cli.errors import CommandError
from cli.fetching.model_store import home
from cli.stack.faults import Fault, explain, path_text
from cli.stack.model_names import resolve_engine
from cli.stack.paying import HostingSettings, Name, PolicySettings, PriceSettings, Strict, TenantSettings, payer_faults
from router.config import RouterConfig
from workers.config import EngineConfig, Seconds, SimulatedEngine

Address = Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")]
_ENGINE: TypeAdapter[EngineConfig] = TypeAdapter(EngineConfig)


class ReplicaSettings(Strict):
    """What one replica sets differently from its pool."""

    engine: dict[str, Any] = Field(default_factory=dict)
    env: dict[str, str] = Field(default_factory=dict)


class PoolSettings(Strict):
    """`replicas` is a number, or a list that says what each replica sets differently (a GPU, a server's address).

    `ttft_ms` and `tpot_ms` are objectives: what an answer of this pool must meet.
    """

    name: Name
    tier: Literal["small", "large", "moe"]
    models: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(min_length=1, max_length=64)
    prices: PriceSettings = PriceSettings()
    hosting: HostingSettings | None = None
    ttft_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0
    tpot_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0
    engine: dict[str, Any] | None = None
    replicas: Annotated[int, Field(ge=1, le=512)] | tuple[ReplicaSettings, ...] = 1
    env: dict[str, str] = Field(default_factory=dict)
    addresses: tuple[Address, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> "PoolSettings":
        if (self.engine is None) == (not self.addresses):
            raise ValueError("give either 'engine' (started here) or 'addresses' (workers that run already)")
        if self.name == "auto":
            raise ValueError("'auto' is what clients ask for to let the router choose: name the pool otherwise")
        return self


class StackSettings(Strict):
    router: dict[str, Any] = Field(default_factory=dict)
    pools: tuple[PoolSettings, ...] = Field(min_length=1)
    tenants: tuple[TenantSettings, ...] = ()
    policies: tuple[PolicySettings, ...] = ()
    worker_start_s: Seconds = 900.0
    worker_drain_s: Seconds = 10.0


@dataclass(frozen=True, slots=True)
class Replica:
    """One worker to start. `id` is its name in the topology."""

    id: str
    engine: EngineConfig
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StackPool:
    """A pool ready to run; `addresses` are workers that run already, and then `replicas` is empty."""

    name: str
    tier: str
    models: tuple[str, ...]
    prices: PriceSettings
    replicas: tuple[Replica, ...]
    addresses: tuple[str, ...] = ()
    hosting: HostingSettings | None = None
    ttft_ms: int = 0
    tpot_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything `headgate up` needs. `router` is router/config.py's document without `topology`, with whole ports.

    names_redis    whether that document says where a Redis is
    state_folder   for what has to outlive a run, one for each headgate.yaml
    """

    router: Mapping[str, Any]
    pools: tuple[StackPool, ...]
    tenants: tuple[TenantSettings, ...]
    http: tuple[str, int]
    grpc: tuple[str, int]
    router_drain_s: float
    worker_start_s: float
    worker_drain_s: float
    policies: tuple[PolicySettings, ...] = ()
    names_redis: bool = False
    state_folder: Path = Path()

    def on_ports(self, http: int | None, grpc: int | None) -> "Stack":
        """The same stack on other ports; None keeps one."""
        http_at = (self.http[0], self.http[1] if http is None else http)
        grpc_at = (self.grpc[0], self.grpc[1] if grpc is None else grpc)
        return replace(self, http=http_at, grpc=grpc_at)


def load(file: Path, fetched: Callable[[str], Path | None] | None = None) -> Stack:
    """Reads headgate.yaml. `fetched` gives the folder of a fetched model by name. Raises CommandError naming every fault."""
    return parse(read_document(file), file, fetched)


def parse(document: Mapping[str, Any], file: Path, fetched: Callable[[str], Path | None] | None = None) -> Stack:
    """The same for a document that was read from `file`."""
    faults: list[Fault] = []
    try:
        settings = StackSettings.model_validate(document)
    except ValidationError as error:
        raise _invalid(file, [explain(each, StackSettings, document) for each in error.errors()]) from error
    router = _router(settings.router, faults)
    pools = tuple(_pool(index, pool, file.parent, fetched, faults) for index, pool in enumerate(settings.pools))
    faults += _inconsistent(settings)
    if faults or router is None:
        raise _invalid(file, faults)
    return Stack(
        router=settings.router,
        pools=pools,
        tenants=settings.tenants,
        http=(router.http.host, router.http.port),
        grpc=(router.grpc.host, router.grpc.port),
        router_drain_s=router.drain_s,
        worker_start_s=settings.worker_start_s,
        worker_drain_s=settings.worker_drain_s,
        policies=settings.policies,
        names_redis=router.redis.url is not None,
        state_folder=state_folder(file),
    )


def state_folder(file: Path) -> Path:
    """Where what belongs to this headgate.yaml outlives a run."""
    return home() / "state" / f"{file.stem}-{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"


def read_document(file: Path) -> dict[str, Any]:
    """The file's YAML, not yet checked but for being a mapping. Raises CommandError."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        todo = "name your file with -f, or start from one in examples/ (`headgate demo` needs none)"
        raise CommandError(f"{file}: no such file", todo=todo, exit_code=2) from error
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: cannot be read: {error}", exit_code=2) from error
    except yaml.YAMLError as error:
        raise CommandError(f"{file}: not YAML: {' '.join(str(error).split())}", exit_code=2) from error
    if not isinstance(document, dict):
        raise CommandError(f"{file}: (top): must be a mapping with 'pools'", todo="see examples/", exit_code=2)
    return document


def _router(raw: dict[str, Any], faults: list[Fault]) -> RouterConfig | None:
    if "topology" in raw:
        faults.append(Fault("router.topology", "`headgate up` writes the topology itself: remove this key"))
        return None
    document = {**raw, "topology": {"file": "written-by-headgate-up"}}
    try:
        return RouterConfig.model_validate(document)
    except ValidationError as error:
        faults += [explain(each, RouterConfig, document).under("router") for each in error.errors()]
        return None


def _pool(
    index: int, pool: PoolSettings, folder: Path, fetched: Callable[[str], Path | None] | None, faults: list[Fault]
) -> StackPool:
    many = pool.replicas if isinstance(pool.replicas, tuple) else (ReplicaSettings(),) * pool.replicas
    replicas = []
    for number, own in enumerate(many if pool.engine is not None else ()):
        where = (
            path_text(("pools", index, "engine"))
            if not own.engine
            else path_text(("pools", index, "replicas", number, "engine"))
        )
        engine = _engine({**(pool.engine or {}), **own.engine}, where, faults)
        if engine is not None:
            resolved = resolve_engine(engine, folder, fetched)
            if isinstance(resolved, Fault):
                faults.append(resolved.under(where))
            else:
                replicas.append(Replica(f"{pool.name}-{number}", resolved, {**pool.env, **own.env}))
    objectives = {"ttft_ms": pool.ttft_ms, "tpot_ms": pool.tpot_ms}
    started = tuple(replicas)
    return StackPool(pool.name, pool.tier, pool.models, pool.prices, started, pool.addresses, pool.hosting, **objectives)


def _engine(raw: dict[str, Any], where: str, faults: list[Fault]) -> EngineConfig | None:
    try:
        return _ENGINE.validate_python(raw)
    except ValidationError as error:
        faults += [explain(each, _ENGINE, raw).under(where) for each in error.errors()]
        return None


def _inconsistent(settings: StackSettings) -> Iterator[Fault]:
    names = [pool.name for pool in settings.pools]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(f"pools.{index}.name", f"another pool is called {name!r} already")
    for index, tenant in enumerate(settings.tenants):
        for number, pool in enumerate(tenant.pools):
            if pool not in names:
                yield Fault(f"tenants.{index}.pools.{number}", f"no pool is called {pool!r}; there are {', '.join(names)}")
    yield from payer_faults(settings.tenants, settings.policies, names)


def _invalid(file: Path, faults: list[Fault]) -> CommandError:
    lines = list(dict.fromkeys(f"{file}: {fault.path}: {fault.text}" for fault in faults))
    return CommandError("\n".join(lines), todo=f"Mend it, then check with: headgate up --check -f {file}", exit_code=2)


def simulated_pools(stack: Stack) -> tuple[str, ...]:
    """Names of the pools whose answers are simulated, as far as the file tells."""
    return tuple(p.name for p in stack.pools if any(isinstance(r.engine, SimulatedEngine) for r in p.replicas))
