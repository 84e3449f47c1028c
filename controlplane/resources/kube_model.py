"""How our custom resources are typed: strict, frozen, camelCase on the wire, with their CEL rules beside the fields.

A rule is written once as CEL, for the API server, and once as Python, for everything that parses without one; the tests send
the same objects to a real API server and to these classes and compare the verdicts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One `x-kubernetes-validations` entry. `field` is the camelCase path below the object that the message is about."""

    cel: str
    message: str
    holds: Callable[[Any], bool]
    field: str = ""


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """A rule about an update: it compares `self` with `oldSelf`, which only the API server sees, so it has no Python twin."""

    cel: str
    message: str
    field: str = ""


class KubeModel(BaseModel):
    """One object of the schema. The class docstring and `Field(description=…)` become what `kubectl explain` shows."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)
    rules: ClassVar[tuple[Rule, ...]] = ()
    change_rules: ClassVar[tuple[ChangeRule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """The API server prunes a null from a field that is not nullable, and none of ours is."""
        if not isinstance(data, dict):
            return data
        ours = cls.model_fields.keys() | {field.alias for field in cls.model_fields.values()}
        return {name: value for name, value in data.items() if value is not None or name not in ours}

    @model_validator(mode="after")
    def _rules_hold(self) -> "KubeModel":
        broken = [rule for rule in self.rules if not rule.holds(self)]
        if broken:
            said = "; ".join(f"{rule.field}: {rule.message}" if rule.field else rule.message for rule in broken)
            raise PydanticCustomError("rules", "{said}", {"said": said, "broken": broken})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        own = handler.resolve_ref_schema(handler(schema))
        rules: list[Rule | ChangeRule] = [*cls.rules, *cls.change_rules]
        if rules:
            own["x-kubernetes-validations"] = [_as_validation(rule) for rule in rules]
        return own


def _as_validation(rule: Rule | ChangeRule) -> JsonSchema:
    where = {"fieldPath": f".{rule.field}"} if rule.field else {}
    return {"rule": rule.cel, "message": rule.message, **where}


@dataclass(frozen=True, slots=True)
class Distinct:
    """Annotates a list whose entries must differ: as a whole, or in `key`, a field of one word: camelCase is the same."""

    key: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        kind = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}
        return handler(schema) | (kind if self.key else {"x-kubernetes-list-type": "set"})

    def _check(self, entries: list[Any]) -> list[Any]:
        keys = [getattr(entry, self.key) if self.key else entry for entry in entries]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                raise PydanticCustomError("duplicate", "Duplicate value: {value}", {"value": repr(key), "index": index})
        return entries
