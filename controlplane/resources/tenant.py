"""Tenant (headgate.dev/v1alpha1): who may ask, for what, and with what weight."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.resources.engine import SecretKey
from controlplane.resources.kube_model import Distinct, KubeModel, Rule
from controlplane.resources.scalars import DnsLabel


class TenantKey(KubeModel):
    """One API key: where it is kept, or its SHA-256 where only the digest may be known here."""

    secret: SecretKey | None = Field(default=None, description="The key of a Secret that holds it.")
    sha256: Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="SHA-256 of the API key (UTF-8, without white space around it), as 64 hex digits."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.secret) != has(self.sha256)",
            "give exactly one of secret and sha256",
            lambda k: (k.secret is None) != (k.sha256 is None),
        ),
    )


class Budget(KubeModel):
    """What may be spent; without it there is no limit."""

    usd: float = Field(
        ge=0, le=1e9, allow_inf_nan=False, description="USD per window, or once and for all; 0 and hard: nothing may be spent."
    )
    window: Literal["hour", "day", "week", "month"] | None = Field(default=None, description="When it begins anew (UTC).")
    hard: bool = Field(
        default=False, description="Never exceeded: requests are refused. Otherwise reported, and paced where that is possible."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.hard || has(self.window)",
            "a hard budget needs a window",
            lambda b: not b.hard or b.window is not None,
            "window",
        ),
    )


class TenantSpec(KubeModel):
    """What is wanted."""

    keys: list[TenantKey] = Field(default=[], max_length=64, description="API keys that are this tenant's.")
    pools: Annotated[list[DnsLabel], Distinct()] = Field(
        default=[], max_length=256, description="ModelPools that may be used; none named: all."
    )
    weight: float = Field(
        default=1.0, gt=0, le=1000, allow_inf_nan=False, description="Share under overload, against other tenants."
    )
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher is more important; below 0 may be shed.")
    parent: DnsLabel | None = Field(default=None, description="Tenant whose budget also holds for this one.")
    budget: Budget | None = None
    policy: DnsLabel | None = Field(default=None, description="RoutingPolicy for this tenant's requests.")
    cache_group: DnsLabel | None = Field(
        default=None, description="Tenants of one group may share cached KV. Default: the tenant alone."
    )
