"""The classes refuse what must be refused and name the field at fault. tests/kube sends the same table to a real API server."""

import re
from typing import Any

import pytest

from controlplane.resources.envelope import definition_of, parse
from controlplane.resources.faults import InvalidObject
from tests.controlplane.resources.invalid import CASES, Case
from tests.controlplane.resources.samples import FULL, MINIMAL, changed, wrapped


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused_with_the_path_of_the_field(case: Case) -> None:
    with pytest.raises(InvalidObject) as refused:
        parse(case.object, definition_of(case.object))
    [fault] = refused.value.faults
    assert fault.path == case.path
    assert re.search(case.words, fault.message)


@pytest.mark.parametrize("kind", MINIMAL)
@pytest.mark.parametrize("specs", [MINIMAL, FULL], ids=["minimal", "full"])
def test_taken(specs: dict[str, dict[str, Any]], kind: str) -> None:
    seen = wrapped(kind, specs[kind])
    spec = parse(seen, definition_of(seen)).spec
    dumped = spec.model_dump(by_alias=True, exclude_unset=True)
    assert dumped == specs[kind]


def test_every_fault_is_said() -> None:
    seen = wrapped("ModelPool", changed(MINIMAL["ModelPool"], {"tier": "huge", "replicas": -1, "bogus": 1}), name="auto")
    with pytest.raises(InvalidObject) as refused:
        parse(seen, definition_of(seen))
    assert [fault.path for fault in refused.value.faults] == ["metadata.name", "spec.bogus", "spec.replicas", "spec.tier"]


def test_values_are_not_repeated() -> None:
    seen = wrapped("Tenant", {"keys": [{"sha256": "my-secret-key-by-mistake"}]})
    with pytest.raises(InvalidObject) as refused:
        parse(seen, definition_of(seen))
    assert "mistake" not in str(refused.value)
