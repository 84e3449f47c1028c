"""The step-time model: the fit finds back what made the data, and the profiles are ordered as the machines are."""

import random

import pytest

from workers.engines.step_time import PROFILES, Measurement, StepTime, fit


def measured(truth: StepTime, noise: float, seed: int = 5) -> list[Measurement]:
    rng = random.Random(seed)
    rows = []
    for _ in range(300):
        prefill, decode, kv = rng.randint(0, 4000), rng.randint(0, 256), rng.randint(0, 200_000)
        rows.append(Measurement(prefill, decode, kv, truth.step_s(prefill, decode, kv) * rng.uniform(1 - noise, 1 + noise)))
    return rows


def test_the_fit_finds_the_coefficients() -> None:
    truth = StepTime(0.01, 1e-4, 5e-5, 3e-8)
    found = fit(measured(truth, noise=0.02))
    for name in ("base_s", "decode_token_s", "prefill_token_s", "kv_token_s"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.15)


def test_no_coefficient_is_negative() -> None:
    found = fit(measured(StepTime(0.01, 0.0, 5e-5, 0.0), noise=0.3))
    assert min(found.base_s, found.decode_token_s, found.prefill_token_s, found.kv_token_s) >= 0


def test_too_little_data() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        fit(measured(StepTime(0.01), 0.0)[:3])


def test_profiles() -> None:
    alone = {name: profile.step_time.step_s(0, 1, 1000) for name, profile in PROFILES.items()}
    assert alone["instant"] == 0.0
    assert alone["h100-8b"] < alone["h100-32b"] < alone["h100-70b"] < alone["a100-70b"]
    assert all(profile.source for profile in PROFILES.values())
