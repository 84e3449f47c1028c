"""Loads that autoscaling is judged by, each with the rule it runs under. Rates are requests per second; times, seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sin

from controlplane.resources.model_pool import Autoscaling
from tests.sim.pool import Model

HOUR_S = 3600.0
PLAIN = Model()


@dataclass(frozen=True, slots=True)
class Scenario:
    """`blind` says when no router reports."""

    name: str
    rate: Callable[[float], float]
    peak: float
    rule: Autoscaling
    end_s: float = 2 * HOUR_S
    model: Model = PLAIN
    replicas: int = 1
    blind: Callable[[float], bool] = lambda now_s: False


def _rule(least: int = 1, most: int = 40, **more: float) -> Autoscaling:
    return Autoscaling.model_validate({"min_replicas": least, "max_replicas": most} | more)


def _step(now_s: float) -> float:
    return 12.0 if 1800 <= now_s < 5400 else 2.0


def _wave(now_s: float) -> float:
    """A day in four hours, with a busy noon and a quiet night."""
    return 8.0 + 7.0 * sin(2 * pi * now_s / (4 * HOUR_S) - pi / 2)


def _bursts(now_s: float) -> float:
    """Five busy minutes twice an hour, and nothing between."""
    return 6.0 if now_s % 1800 < 300 else 0.0


def _flat(now_s: float) -> float:
    return 6.0


STEP = Scenario("step load", _step, 12.0, _rule())
WAVE = Scenario("daily wave", _wave, 15.0, _rule(), end_s=4 * HOUR_S)
BURSTS = Scenario("bursts from zero", _bursts, 6.0, _rule(0, idle_seconds=300), replicas=0)
FLAT = Scenario("flat load", _flat, 6.0, _rule(), end_s=3 * HOUR_S, replicas=5)
BLIND = Scenario("dead routers", _step, 12.0, _rule(), blind=lambda now_s: 3000 <= now_s < 4200)
SLOW_START = Scenario("step, cold start 300 s", _step, 12.0, _rule(), model=Model(cold_start_s=300.0))
# Two thirds full, a replica is too slow for this objective, though it has slots left.
TIGHT = Scenario("objective below target use", _flat, 6.0, _rule(), end_s=3 * HOUR_S, model=Model(tpot_s=0.045), replicas=5)

ALL = (STEP, WAVE, BURSTS, FLAT, BLIND, SLOW_START, TIGHT)
