"""Turns pydantic's errors into lines a person can act on: the key's path, what is wrong, the key that would be right. Pure."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` is dotted, with list positions as numbers: pools.0.engine.model."""

    path: str
    text: str

    def under(self, prefix: str) -> "Fault":
        return replace(self, path=f"{prefix}.{self.path}" if self.path else prefix)


def path_text(path: Sequence[int | str]) -> str:
    return ".".join(map(str, path))


def explain(error: ErrorDetails, schema: type[BaseModel] | TypeAdapter[Any], document: Any) -> Fault:
    """One pydantic error as a Fault. `schema` and `document` are what was validated."""
    path = _in_document(error["loc"], document)
    kind = error["type"]
    if kind == "extra_forbidden":
        return Fault(path_text(path), _unknown_key(str(error["loc"][-1]), _fields_at(schema, error["loc"][:-1])))
    if kind == "missing":
        return Fault(path_text(path), "is needed: add it")
    if kind == "union_tag_not_found":
        return Fault(path_text((*path, "kind")), "is needed: simulated, vllm or openai_http")
    if kind == "union_tag_invalid":
        return Fault(path_text((*path, "kind")), f"{error['ctx']['tag']!r} is no engine: use {error['ctx']['expected_tags']}")
    text = error["msg"].removeprefix("Value error, ")
    return Fault(path_text(path), text[:1].lower() + text[1:] + _given(error))


def _given(error: ErrorDetails) -> str:
    value = error.get("input")
    return f" (it is {value!r})" if isinstance(value, str | int | float | bool) and len(repr(value)) <= 60 else ""


def _in_document(location: Sequence[int | str], document: Any) -> list[int | str]:
    """Drops what pydantic adds to a path (the branch of a union): steps that the document does not have, but for the last."""
    path: list[int | str] = []
    here = document
    for position, step in enumerate(location):
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            if position < len(location) - 1 or not isinstance(here, Mapping):
                continue
        path.append(step)
    return path


def _unknown_key(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"unknown key: did you mean {close[0]!r}?"
    return "unknown key" + (f": known here are {', '.join(known)}" if known else ": remove it")


def _fields_at(schema: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields that the model at `location` has; walks annotations, picking a union's branch by its tag."""
    models = _models(schema)
    for step in location:
        if isinstance(step, int):
            continue
        tagged = [model for model in models if _tag(model) == step]
        models = tagged or [
            m for model in models if step in model.model_fields for m in _models(model.model_fields[step].annotation)
        ]
    return sorted({name for model in models for name in model.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, TypeAdapter):
        return _models(annotation._type)  # the adapter has no public way back to its type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and get_origin(annotation) is None:
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return str(field.default) if field is not None else None
