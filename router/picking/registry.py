"""Names of the picking plug-ins, and the pipeline that a configuration asks for. Adding a plug-in: one class, one line here."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from router.picking.filters import Fresh, HasRoom, NotExcluded, Ready
from router.picking.pickers import Best, TwoChoices, WeightedRandom
from router.picking.pipeline import Part, Pipeline
from router.picking.plugin import Filter, Picker, Scorer
from router.picking.scorers import InFlight, KvFree, PrefixAffinity, SessionAffinity, ShortQueue

FILTERS: dict[str, type[Filter]] = {
    "ready": Ready,
    "not_excluded": NotExcluded,
    "fresh": Fresh,
    "has_room": HasRoom,
}
SCORERS: dict[str, type[Scorer]] = {
    "prefix_affinity": PrefixAffinity,
    "session_affinity": SessionAffinity,
    "in_flight": InFlight,
    "short_queue": ShortQueue,
    "kv_free": KvFree,
}
PICKERS: dict[str, type[Picker]] = {
    "best": Best,
    "two_choices": TwoChoices,
    "weighted_random": WeightedRandom,
}
# Without these a request could go where it can't be served.
_REQUIRED_FILTERS = ("ready", "not_excluded")

T = TypeVar("T")


class Plugin(BaseModel):
    """A plug-in by name, with its own parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class WeightedPlugin(Plugin):
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class PickingConfig(BaseModel):
    """How a replica is picked (docs: plugins). Filters run in order; scores are summed by weight; the picker takes one.

    Everything is checked when it is parsed, the plug-ins' own parameters too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: tuple[Plugin, ...] = tuple(Plugin(name=name) for name in ("ready", "not_excluded", "has_room"))
    scorers: tuple[WeightedPlugin, ...] = (
        WeightedPlugin(name="prefix_affinity", weight=2.0),
        WeightedPlugin(name="session_affinity", weight=1.0),
        WeightedPlugin(name="in_flight", weight=2.0),
        WeightedPlugin(name="short_queue", weight=2.0),
        WeightedPlugin(name="kv_free", weight=1.0),
    )
    picker: Plugin = Plugin(name="best")

    @model_validator(mode="after")
    def _buildable(self) -> "PickingConfig":
        build_pipeline(self)
        return self


def build_pipeline(config: PickingConfig) -> Pipeline:
    """Raises ValueError; its text names the path, such as `picking.scorers[1].parameters.tolrance`."""
    filters = [_build(plugin, FILTERS, f"picking.filters[{at}]") for at, plugin in enumerate(config.filters)]
    for name in _REQUIRED_FILTERS:
        if name not in (plugin.name for plugin in config.filters):
            raise ValueError(f"picking.filters: {name!r} can't be left out")
    parts = [
        Part(plugin.name, plugin.weight, _build(plugin, SCORERS, f"picking.scorers[{at}]"))
        for at, plugin in enumerate(config.scorers)
    ]
    return Pipeline(filters, parts, _build(config.picker, PICKERS, "picking.picker"))


def _build(plugin: Plugin, known: Mapping[str, type[T]], path: str) -> T:
    cls = known.get(plugin.name)
    if cls is None:
        raise ValueError(f"{path}.name: {plugin.name!r} is unknown{_hint(plugin.name, known)}")
    takes = [each.name for each in fields(cls)]  # type: ignore[arg-type]
    for name in plugin.parameters:
        if name not in takes:
            raise ValueError(f"{path}.parameters.{name}: unknown{_hint(name, takes)}")
    try:
        return TypeAdapter(cls).validate_python(plugin.parameters)
    except ValidationError as fault:
        first = fault.errors()[0]
        raise ValueError(f"{path}.parameters.{'.'.join(map(str, first['loc']))}: {first['msg']}") from fault


def _hint(name: str, known: Mapping[str, object] | list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else "; it takes none"
