"""The configuration of picking: shapes that are taken, and errors that name the key."""

from dataclasses import is_dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from router.picking.registry import FILTERS, PICKERS, SCORERS, PickingConfig, build_pipeline

REQUIRED = [{"name": "ready"}, {"name": "not_excluded"}]


def test_the_default_builds() -> None:
    config = PickingConfig()
    assert [plugin.name for plugin in config.scorers] == list(SCORERS)
    build_pipeline(config)


@pytest.mark.parametrize("known", [FILTERS, SCORERS, PICKERS])
def test_plugins_are_frozen_and_documented(known: dict[str, type[object]]) -> None:
    for cls in known.values():
        assert is_dataclass(cls)
        assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert cls.__doc__


def test_parameters_reach_the_plugin() -> None:
    scorers = [{"name": "prefix_affinity", "weight": 3, "parameters": {"fade_requests": 2}}]
    pipeline = build_pipeline(PickingConfig.model_validate({"scorers": scorers, "picker": {"name": "two_choices"}}))
    (part,) = pipeline._parts
    assert (part.weight, part.scorer.fade_requests) == (3.0, 2.0)  # type: ignore[attr-defined]
    assert type(pipeline._picker) is PICKERS["two_choices"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"scorers": [{"name": "kv_free"}, {"name": "short_que"}]},
            "picking.scorers[1].name: 'short_que' is unknown; did you mean 'short_queue'?",
        ),
        (
            {"scorers": [{"name": "kv_free"}, {"name": "short_queue", "parameters": {"half_at_": 1}}]},
            "picking.scorers[1].parameters.half_at_: unknown; did you mean 'half_at'?",
        ),
        ({"scorers": [{"name": "kv_free", "parameters": {"x": 1}}]}, "picking.scorers[0].parameters.x: unknown; it takes none"),
        (
            {"scorers": [{"name": "short_queue", "parameters": {"half_at": 0}}]},
            "picking.scorers[0].parameters.half_at: Input should be greater than 0",
        ),
        (
            {"scorers": [{"name": "short_queue", "parameters": {"half_at": "many"}}]},
            "picking.scorers[0].parameters.half_at: Input should be a valid number",
        ),
        (
            {"filters": [*REQUIRED, {"name": "fresh", "parameters": {"max_age_s": -1}}]},
            "picking.filters[2].parameters.max_age_s: Input should be greater",
        ),
        ({"filters": [{"name": "ready"}]}, "picking.filters: 'not_excluded' can't be left out"),
        ({"picker": {"name": "zzz"}}, "picking.picker.name: 'zzz' is unknown; known: best, two_choices, weighted_random"),
        ({"picker": {"name": "weighted_random", "parameters": {"sharpness": 1e9}}}, "picking.picker.parameters.sharpness"),
    ],
)
def test_errors_name_the_path(config: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as fault:
        PickingConfig.model_validate(config)
    assert text in str(fault.value)


@pytest.mark.parametrize(
    ("config", "loc"),
    [
        ({"scorer": []}, ("scorer",)),
        ({"scorers": [{"name": "kv_free", "wieght": 1}]}, ("scorers", 0, "wieght")),
        ({"scorers": [{"name": "kv_free", "weight": 0}]}, ("scorers", 0, "weight")),
        ({"scorers": [{"name": "kv_free", "weight": float("inf")}]}, ("scorers", 0, "weight")),
    ],
)
def test_the_shape_is_strict(config: dict[str, Any], loc: tuple[object, ...]) -> None:
    with pytest.raises(ValidationError) as fault:
        PickingConfig.model_validate(config)
    assert fault.value.errors()[0]["loc"] == loc
