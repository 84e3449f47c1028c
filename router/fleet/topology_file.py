"""The topology as a document, YAML or JSON: TopologySnapshot of topology.proto, parsed strictly. Does no I/O.

pools:
  - name: small
    tier: small                     # small, large or moe
    models: [smollm2]               # names that callers may use; the first is what workers are told
    prices: {input_usd_per_mtok: 0.1, cached_input_usd_per_mtok: 0.01, output_usd_per_mtok: 0.4}
    replicas:
      - {id: small-0, address: "127.0.0.1:7001"}
tenants:                            # none: no key is needed
  - {name: acme, key_sha256: [<64 hex digits>], pools: [small]}   # no pools: all of them
"""

import re
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from router.fleet.specs import PoolSpec, ReplicaSpec, TenantSpec, Topology, TopologyRefused
from router.snapshot import Prices, Tier


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise ValueError("a key's SHA-256 is 64 hex digits")
    return text


Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, AfterValidator(_digest)]
Name = Annotated[str, Field(min_length=1)]


class PricesEntry(Strict):
    """What is left out costs nothing."""

    input_usd_per_mtok: Dollars = 0.0
    cached_input_usd_per_mtok: Dollars = 0.0
    output_usd_per_mtok: Dollars = 0.0

    def value(self) -> Prices:
        return Prices(self.input_usd_per_mtok, self.cached_input_usd_per_mtok, self.output_usd_per_mtok)


class ReplicaEntry(Strict):
    id: Name
    address: str
    draining: bool = False


class PoolEntry(Strict):
    name: Name
    tier: Tier
    models: list[Name] = Field(min_length=1)
    prices: PricesEntry = PricesEntry()
    replicas: list[ReplicaEntry] = []

    def value(self) -> PoolSpec:
        replicas = tuple(ReplicaSpec(entry.id, entry.address, entry.draining) for entry in self.replicas)
        return PoolSpec(self.name, self.tier, tuple(self.models), self.prices.value(), replicas)


class TenantEntry(Strict):
    name: Name
    key_sha256: list[Sha256] = Field(min_length=1)
    pools: list[Name] = []

    def value(self) -> TenantSpec:
        return TenantSpec(self.name, tuple(map(bytes.fromhex, self.key_sha256)), tuple(self.pools))


class TopologyEntry(Strict):
    """`version` may be left out: what counts is that the content changed."""

    version: int = Field(default=0, ge=0)
    pools: list[PoolEntry]
    tenants: list[TenantEntry] = []


def parse(document: str | bytes) -> Topology:
    """Raises TopologyRefused, one line per fault, each starting with the path of the key. Values are never in the text."""
    try:
        raw: Any = yaml.safe_load(document)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:  # ValueError: 2026-13-45 is a date to YAML
        mark = getattr(fault, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise TopologyRefused(f"{where}not YAML: {getattr(fault, 'problem', None) or 'unreadable'}") from fault
    try:
        entry = TopologyEntry.model_validate(raw)
    except ValidationError as fault:
        lines = (f"{_path(error['loc'])}: {error['msg']}" for error in fault.errors(include_input=False, include_url=False))
        raise TopologyRefused("\n".join(lines)) from fault
    return Topology(tuple(p.value() for p in entry.pools), tuple(t.value() for t in entry.tenants), entry.version)


def _path(location: tuple[int | str, ...]) -> str:
    """pools[0].replicas[1].address"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "(top)"
