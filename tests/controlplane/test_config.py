"""Settings are refused as a whole, with the key of every fault."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.config import load, parse
from controlplane.errors import ConfigError


def test_namespaces_are_all_that_is_needed() -> None:
    config = parse({"namespaces": ["serving"]}, "here")
    assert (config.listen, config.http, config.autoscaling) == ("0.0.0.0:50052", "0.0.0.0:8081", True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (None, "namespaces"),
        ({"namespaces": []}, "namespaces"),
        ({"namespaces": ["a"], "nonsense": 1}, "nonsense"),
        ({"namespaces": ["a"], "listen": "50052"}, "listen"),
        ({"namespaces": ["a"], "http": "h:99999"}, "http"),
        ({"namespaces": ["a"], "gpu_budget": {"nvidia.com/gpu": -1}}, "gpu_budget.nvidia.com/gpu"),
        ({"namespaces": ["a"], "platform": {"image_pull_policy": "Sometimes"}}, "platform.image_pull_policy"),
        ({"namespaces": ["a"], "workers": 0}, "workers"),
    ],
)
def test_a_fault_names_its_key(raw: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"here: {words}"):
        parse(raw, "here")


def test_a_lease_must_outlast_the_writes_of_the_one_before() -> None:
    with pytest.raises(ConfigError, match="duration_s"):
        parse({"namespaces": ["a"], "lease": {"duration_s": 10, "renew_s": 8}}, "here")
    with pytest.raises(ConfigError, match="retry_s"):
        parse({"namespaces": ["a"], "lease": {"duration_s": 60, "renew_s": 8, "retry_s": 8}}, "here")


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        load(tmp_path / "missing.yaml")
    odd = tmp_path / "odd.yaml"
    odd.write_text("{")
    with pytest.raises(ConfigError, match="not YAML"):
        load(odd)
