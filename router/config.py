"""Settings of the router: one YAML file, parsed once, strictly, before anything is built. Unknown keys fail with their path."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from router.choosing.rule import AutoRule
from router.picking.registry import PickingConfig

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ConfigError(Exception):
    """The settings can't be used; the text names the file and the key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Strict):
    """A folder with tls.crt, tls.key and ca.crt, as a Kubernetes Secret is mounted. It is read again when it changes."""

    folder: Path


class Listen(Strict):
    """Where a front listens; port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class TopologySource(Strict):
    """Where pools, replicas and tenants come from: a file that is watched, or a control plane.

    The host of `address` may stand for several replicas of the control plane: one of them is watched, all are told of the load.
    """

    file: Path | None = None
    address: Annotated[str, Field(pattern=r"^\S+:[0-9]{1,5}$")] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "TopologySource":
        if (self.file is None) == (self.address is None):
            raise ValueError("give exactly one of 'file' and 'address'")
        return self


class Limits(Strict):
    """What one router takes before it says no. Everything a caller can make large has a bound here.

    max_waiting_cold   requests, of those in flight, that wait for a pool without a ready replica
    """

    max_in_flight: int = Field(default=4096, ge=1)
    max_waiting_cold: int = Field(default=1024, ge=0)
    max_connections: int = Field(default=8192, ge=1)
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    max_n: int = Field(default=16, ge=1)
    default_timeout_s: Seconds = 600.0
    max_timeout_s: Seconds = 3600.0


class Failover(Strict):
    """When a replica is given up, and how often another is tried.

    tries           replicas that one answer may start on, the first included
    first_token_s   from sending the request to the first message; queueing in the worker counts
    idle_s          between two messages of one answer
    embed_s         for one embedding call
    backoff_s       mean wait before the second try; doubles, with full jitter
    wait_s          how long an answer that has begun waits for any replica of its pool to be ready
    circuit_*       faults in a row that open a replica's circuit, and the first and longest time it stays open
    """

    tries: int = Field(default=4, ge=1, le=16)
    first_token_s: Seconds = 120.0
    idle_s: Seconds = 30.0
    embed_s: Seconds = 60.0
    backoff_s: Seconds = 0.05
    wait_s: Seconds = 20.0
    circuit_faults: int = Field(default=3, ge=1)
    circuit_open_s: Seconds = 1.0
    circuit_longest_s: Seconds = 30.0


class RedisSettings(Strict):
    """The store that routers share. The password is read from HEADGATE_REDIS_PASSWORD, never from a file.

    url         redis://HOST:PORT/DB, rediss:// for TLS; without it HEADGATE_REDIS_URL is taken, where that is set
    timeout_s   longest wait for one answer; then it counts as away
    """

    url: Annotated[str, Field(pattern=r"^(rediss?|unix)://")] | None = None
    timeout_s: Seconds = 0.25


class BudgetSettings(Strict):
    """Tenants' budgets (docs/budgets.md).

    when_away            what holds while Redis is away. closed: tenants with a hard budget have what this router leased before,
                         then they are refused; open: they are served, and it is booked later. Soft budgets never refuse
    when_lost            what holds for a hard budget whose record Redis lost. closed: nothing is spent before an operator sets
                         it; resume: it goes on from the most that any router saw
    lease_share          part of a budget that a router takes in advance for that time
    default_max_tokens   longest answer of a tenant with a hard budget who sets no limit: without one, no cost is certain
    """

    when_away: Literal["closed", "open"] = "closed"
    when_lost: Literal["closed", "resume"] = "closed"
    lease_share: float = Field(default=0.001, ge=0, le=0.1)
    default_max_tokens: int = Field(default=4096, ge=1)


class PredictorSettings(Strict):
    """The trained choice (docs/training.md). Files are looked at every `reload_s` and taken over whole, or not at all.

    path     what `headgate train` wrote; without it a rule chooses the tier
    shadow   another one, asked beside it and never obeyed; the metrics compare them
    """

    path: Path | None = None
    shadow: Path | None = None
    reload_s: Seconds = 5.0


class LearningSettings(Strict):
    """What is learnt from outcomes while serving (docs/learning.md)."""

    enabled: bool = True


class RouterConfig(Strict):
    """The whole of it. `unknown_parameters` says what happens to request fields we do not know (docs/parameters.md).

    tls        mutual TLS towards workers and control plane; without it that traffic is plain text
    choosers   strategy custom: name → package.module:Class, a `router.choosing.strategies.Strategy`
    verifiers  cascades with evidence verifier: pool of the cascade, or "*" → package.module:Class
    """

    topology: TopologySource
    http: Listen = Listen(port=8080)
    grpc: Listen = Listen(port=50051)
    picking: PickingConfig = PickingConfig()
    auto: AutoRule = AutoRule()
    predictor: PredictorSettings = PredictorSettings()
    learning: LearningSettings = LearningSettings()
    redis: RedisSettings = RedisSettings()
    budgets: BudgetSettings = BudgetSettings()
    choosers: dict[str, str] = Field(default_factory=dict)
    verifiers: dict[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()
    failover: Failover = Failover()
    tls: Tls | None = None
    unknown_parameters: Literal["refuse", "pass"] = "refuse"
    stale_after_s: Seconds = 10.0
    drain_s: Seconds = 30.0


def load(path: Path) -> RouterConfig:
    """Reads the file; raises ConfigError with one line per fault."""
    try:
        raw: Any = yaml.safe_load(path.read_text())
        return RouterConfig.model_validate({} if raw is None else raw)
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    except yaml.YAMLError as fault:
        raise ConfigError(f"{path}: not YAML: {fault}") from fault
    except ValidationError as fault:
        lines = (f"{path}: {'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in fault.errors())
        raise ConfigError("\n".join(lines)) from fault
