"""Whether what is seen has all that is wanted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.superset import superset

TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "b"]), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("seen", "wanted", "enough"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ({"a": None}, {"a": {}}, False),
        ({}, {"a": None}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": "1"}, {"a": 1}, False),
        ({"a": "ab"}, {"a": ["a", "b"]}, False),
        (["a"], "a", False),
        # without names: whole, in order
        (["a", "b"], ["a", "b"], True),
        (["b", "a"], ["a", "b"], False),
        (["a", "b", "c"], ["a", "b"], False),
        ([], [], True),
        (["a"], [], False),
        ([{"effect": "x", "more": 1}], [{"effect": "x"}], True),
        ([{"effect": "x"}, {"effect": "y"}], [{"effect": "x"}], False),
        # with names: others may add theirs
        ([{"name": "a", "value": "1", "more": 1}, {"name": "b"}], [{"name": "a", "value": "1"}], True),
        ([{"name": "b"}, {"name": "a"}], [{"name": "a"}], True),
        ([{"name": "b"}, {"name": "a"}], [{"name": "a"}, {"name": "b"}], False),
        ([{"name": "a", "value": "2"}], [{"name": "a", "value": "1"}], False),
        ([{"name": "a"}, "odd"], [{"name": "a"}], True),
        ([{"containerPort": 1, "protocol": "UDP"}], [{"containerPort": 1, "protocol": "TCP"}], False),
        ([{"containerPort": 2}, {"containerPort": 1}], [{"containerPort": 1}], True),
    ],
)
def test_tables(seen: Any, wanted: Any, enough: bool) -> None:
    assert superset(seen, wanted) is enough


@given(TREES)
def test_everything_has_itself(tree: Any) -> None:
    assert superset(tree, tree)


@given(st.dictionaries(st.sampled_from(["a", "b"]), TREES), st.dictionaries(st.sampled_from(["c", "d"]), TREES))
def test_more_is_enough(wanted: dict[str, Any], more: dict[str, Any]) -> None:
    assert superset({**wanted, **more}, wanted)
    if more:
        assert not superset(wanted, {**wanted, **more})


@given(TREES, TREES, TREES)
def test_it_is_transitive(most: Any, middle: Any, least: Any) -> None:
    if superset(most, middle) and superset(middle, least):
        assert superset(most, least)
