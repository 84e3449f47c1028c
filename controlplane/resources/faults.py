"""What is wrong with an object, each fault with its path as the API server writes it: `spec.engine.env[0].name`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """`path` is camelCase, from the object's top."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class InvalidObject(Exception):
    """An object that the API server would refuse; the text is one line per fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def faults_of(error: ValidationError, root: str) -> Iterator[Fault]:
    """The faults of one failed parse; paths begin with `root`. Values are not repeated: they may be secrets."""
    for found in error.errors(include_url=False, include_input=False):
        path = path_of((root, *found["loc"]))
        context: dict[str, Any] = found.get("ctx", {})
        if found["type"] == "rules":
            for rule in context["broken"]:
                yield Fault(f"{path}.{rule.field}" if rule.field else path, rule.message)
        elif found["type"] == "duplicate":
            yield Fault(f"{path}[{context['index']}]", found["msg"])
        else:
            yield Fault(path, _SAID.get(found["type"], found["msg"]))


# Where Kubernetes has words of its own that people search for.
_SAID = {"missing": "Required value", "extra_forbidden": "unknown field"}


def path_of(location: Iterable[str | int]) -> str:
    """`("spec", "env", 0, "name")` as `spec.env[0].name`."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location if step != "[key]"]
    return "".join(steps).removeprefix(".")
