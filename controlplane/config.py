"""Settings of the control plane: one YAML file, parsed once, strictly, before anything is built; faults name their key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from controlplane.errors import ConfigError

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
REQUEST_MARGIN_S = 6.0  # a write takes 5 s at most


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(Strict):
    """A folder with tls.crt, tls.key and ca.crt, as a mounted Secret has them. They are read again when they change."""

    folder: Path


class LeaseSettings(Strict):
    """Which Lease decides who acts. Others take over `duration_s` after the last renewal; the holder stops after `renew_s`."""

    name: str = "headgate-controlplane"
    namespace: str | None = None  # None: the pod's own
    duration_s: float = Field(default=15.0, ge=8, le=300)
    renew_s: float = Field(default=8.0, ge=1, le=290)
    retry_s: float = Field(default=2.0, ge=0.2, le=60)

    @model_validator(mode="after")
    def _fenced(self) -> "LeaseSettings":
        if self.renew_s + REQUEST_MARGIN_S > self.duration_s:
            raise ValueError(
                f"'duration_s' must exceed 'renew_s' by {REQUEST_MARGIN_S:g}: writes that are under way must have ended"
            )
        if self.retry_s >= self.renew_s:
            raise ValueError("'retry_s' must be below 'renew_s'")
        return self


class PlatformSettings(Strict):
    """What every pool gets. `worker_tls_secret` must exist in each namespace that has pools."""

    worker_image: str = "headgate/worker:latest"
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    worker_service_account: str = ""
    worker_tls_secret: str = ""
    endpoint_picker: str = ""
    labels: dict[str, str] = {}


class ControlPlaneConfig(Strict):
    """The whole of it.

    namespaces   where our resources are looked for; ["*"] is everywhere
    listen       host:port of Topology, for routers
    http         host:port of /healthz, /readyz and /metrics
    gpu_budget   GPUs that all pools together may take, by resource name; none named: no limit of ours
    autoscaling  false: replicas are what spec.replicas says, whatever the resources ask for
    """

    namespaces: tuple[str, ...] = Field(min_length=1)
    listen: str = "0.0.0.0:50052"
    http: str = "0.0.0.0:8081"
    tls: Tls | None = None
    lease: LeaseSettings = LeaseSettings()
    gpu_budget: dict[str, Annotated[int, Field(ge=0)]] = {}
    platform: PlatformSettings = PlatformSettings()
    autoscaling: bool = True
    workers: int = Field(default=8, ge=1, le=64)
    resync_s: Seconds = 300.0
    drain_s: Seconds = 10.0

    @field_validator("listen", "http")
    @classmethod
    def _host_and_port(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("write it as host:port, port 0 for a free one")
        return listen


def parse(raw: Any, source: str) -> ControlPlaneConfig:
    """Checks a parsed document; raises ConfigError with one line per fault, each with the key's path."""
    try:
        return ControlPlaneConfig.model_validate({} if raw is None else raw)
    except ValidationError as fault:
        lines = (f"{source}: {'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in fault.errors())
        raise ConfigError("\n".join(lines)) from fault


def load(path: Path) -> ControlPlaneConfig:
    """Reads the file; raises ConfigError."""
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    except yaml.YAMLError as fault:
        raise ConfigError(f"{path}: not YAML: {fault}") from fault
    return parse(raw, str(path))
