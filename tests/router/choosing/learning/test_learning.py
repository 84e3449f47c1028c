"""All of learning together: what serves, what teaches, who is capped, and the steps back in their order."""

from random import Random

import numpy as np
import pytest

from router.choosing.features import Features
from router.choosing.learning.learner import Occasion
from router.choosing.learning.learning import HEARS_WITHIN_S, Learning, Step
from router.choosing.learning.shares import FREE, WATCH_FREE
from router.choosing.learning.signals import Signal
from router.choosing.quality.prediction import Prediction
from tests.router.choosing.learning.given import a_context, an_occasion, floats


class Watched:
    """A Learning under artefact v1, and the steps it told of."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.steps: list[Step] = []
        self.learning = Learning(enabled=enabled, on_step=self.steps.append)
        self.learning.follow("v1")
        self.learning.tenants(1)

    def believed(self, pool: str = "small", predicted: float = 0.7) -> float:
        return float(self.learning.belief((pool,), floats(predicted), floats(0.1), a_context()).mean[0])

    def occasion(self, pool: str = "small", predicted: float = 0.7, prior: float = 0.7, tenant: str = "acme") -> Occasion:
        return an_occasion(pool, predicted=predicted, believed=self.believed(pool, predicted), prior=prior, tenant=tenant)

    def kinds(self) -> list[str]:
        return [step.kind for step in self.steps]


def test_verdicts_signals_and_preferences_move_beliefs() -> None:
    watched = Watched()
    learning = watched.learning
    assert learning.heard(watched.occasion(), 1.0, 0.0) == 1.0
    after_verdict = watched.believed()
    assert after_verdict > 0.7
    assert learning.signalled(watched.occasion(), Signal.BROKE_FORM, 0.0) == pytest.approx(0.3)
    after_signal = watched.believed()
    assert 0.7 < after_signal < after_verdict
    assert learning.preferred(watched.occasion("large"), watched.occasion(), 0.0) == 1.0
    assert watched.believed() < after_signal
    assert watched.believed("large") > 0.7
    assert learning.figures().taught == {("small", "feedback"): 1.0, ("small", "broke_form"): 0.3, ("large", "preference"): 1.0}


def test_context_and_belief_come_from_the_prediction() -> None:
    learning = Watched().learning
    seen = learning.context(Features(10, 10), Prediction(floats(0.4), floats(0.1), floats(0), 0.5, 3))
    assert learning.belief(("a",), floats(0.4), floats(0.1), seen).mean[0] == 0.4


def test_signals_are_no_evidence_of_drift() -> None:
    watched = Watched()
    for _ in range(500):
        watched.learning.signalled(watched.occasion(), Signal.BROKE_FORM, 0.0)
    assert watched.learning.figures().outcomes == 0
    assert watched.steps == []


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_out_of_range_is_refused_by_name(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        Watched().learning.heard(an_occasion(), score, 0.0)


def test_outcomes_under_another_artefact_teach_nothing() -> None:
    watched = Watched()
    old = an_occasion(version="v0")
    assert watched.learning.heard(old, 0.0, 0.0) == 0.0
    assert watched.learning.preferred(watched.occasion("large"), old, 0.0) == 0.0
    assert watched.believed() == 0.7
    watched.learning.heard(watched.occasion(), 0.0, 0.0)
    watched.learning.follow("v2")
    assert watched.believed() == 0.7


def test_a_verdict_taken_back_and_given_anew_is_the_new_one() -> None:
    watched, other = Watched(), Watched()
    for each in (watched, other):
        for _ in range(20):
            each.learning.heard(each.occasion(), 0.8, 0.0)
    occasion = watched.occasion()
    watched.learning.heard(occasion, 0.0, 0.0)
    watched.learning.taken_back(occasion)
    watched.learning.heard(occasion, 1.0, 0.0)
    other.learning.heard(other.occasion(), 1.0, 0.0)
    assert watched.believed() == pytest.approx(other.believed(), abs=0.01)
    assert watched.learning.figures().outcomes == 21  # who changes their mind is watched once


def test_a_preference_taken_back_leaves_nothing() -> None:
    watched = Watched()
    winner = watched.occasion("large")
    watched.learning.preferred(winner, watched.occasion(), 0.0)
    moved = watched.believed("large") - 0.7
    watched.learning.taken_back(winner)
    assert abs(watched.believed("large") - 0.7) < 0.3 * moved
    watched.learning.taken_back(winner)  # again: nothing is left to take back


def test_switched_off_predictions_stand_but_drift_is_watched() -> None:
    watched = Watched(enabled=False)
    for _ in range(100):
        watched.learning.heard(watched.occasion(), 0.0, 0.0)
    assert watched.believed() == 0.7
    assert watched.learning.note == ""
    assert watched.learning.figures().outcomes == 100
    assert watched.kinds() == ["pool_changed"]
    assert "nothing is learnt" in watched.steps[0].text
    for _ in range(1000):
        watched.learning.heard(watched.occasion(), 0.0, 0.0)
    assert watched.kinds() == ["pool_changed"]  # as nothing follows from it, it is said once


def test_ten_thousand_lies_of_one_tenant_weigh_no_more_than_its_share() -> None:
    """800 honest verdicts of eight tenants on two pools of true quality 0.8, predicted as such; and a liar in between."""
    watched, rng = Watched(), Random(5)
    watched.learning.tenants(9)
    taught = 0.0
    for at in range(10_800):
        honest = at % 27 == 0 or (at % 27 == 13 and at < 10_800)
        tenant = f"honest-{rng.randrange(8)}" if honest else "liar"
        score = float(rng.random() < 0.8) if honest else 0.0
        weight = watched.learning.heard(watched.occasion(tenant=tenant, prior=0.8, predicted=0.8), score, 0.0)
        taught += weight if tenant == "liar" else 0.0
    assert taught <= max(FREE, 0.25 * 800) + 1e-6
    assert watched.believed(predicted=0.8) > 0.8 - 0.25
    assert watched.learning.standing == "learning"
    assert watched.learning.figures().held_back > 9000


def test_a_lone_liar_in_a_quiet_hour_brings_about_no_step_back() -> None:
    watched = Watched()
    watched.learning.tenants(5)
    for at in range(10_000):
        watched.learning.heard(watched.occasion(tenant="liar"), 0.0, at * 0.3)
    assert watched.learning.figures().outcomes < 25
    assert watched.steps == []
    assert WATCH_FREE < 25  # the least certain outcomes that could raise an alarm, by the largest bet


def poisoned(watched: Watched, outcomes: int, rng: Random) -> None:
    """What was learnt is nonsense: believed is far off both ways; the artefact is right with 0.7, the constant near, 0.65."""
    for _ in range(outcomes):
        believed = rng.choice([0.2, 1.0])
        occasion = an_occasion(predicted=0.7, believed=believed, prior=0.65, version=watched.learning.version)
        watched.learning.heard(occasion, float(rng.random() < 0.7), 0.0)


def test_learning_that_makes_it_worse_is_set_aside_first() -> None:
    watched, rng = Watched(), Random(2)
    poisoned(watched, 300, rng)
    assert watched.kinds() == ["learning_dropped"]
    assert watched.learning.standing == "artefact"
    assert "Brier" in watched.steps[0].text
    assert "v1" in watched.steps[0].text
    assert "set aside" in watched.learning.note
    assert watched.believed() == 0.7  # the artefact alone
    poisoned(watched, 3000, rng)  # the artefact is right: nothing more happens
    assert watched.kinds() == ["learning_dropped"]


def worthless(watched: Watched, outcomes: int, rng: Random) -> None:
    """The artefact says 0.2 or 1.0 at random, the truth is 0.6 as the constant has it; nothing is learnt from it."""
    for _ in range(outcomes):
        predicted = rng.choice([0.2, 1.0])
        occasion = an_occasion(predicted=predicted, prior=0.6, version=watched.learning.version, domain=rng.randrange(16))
        watched.learning.heard(occasion, float(rng.random() < 0.6), 0.0)


def test_the_steps_back_come_in_their_order_and_go_no_further() -> None:
    """Without the older artefact the standing is `rule` until whoever has the files answers."""
    watched, rng = Watched(), Random(3)
    learning, before = watched.learning, iter(["v0", ""])

    def answer(step: Step) -> None:
        watched.steps.append(step)
        if step.kind == "artefact_dropped":
            version = next(before)
            learning.follow(version, "previous" if version else "rule")

    learning.on_step = answer
    standings = []
    for _ in range(40):
        worthless(watched, 100, rng)
        standings.append((learning.standing, learning.version))
    order = list(dict.fromkeys(standings))
    assert [("learning", "v1"), ("artefact", "v1"), ("previous", "v0"), ("rule", "")][-len(order) :] == order
    assert [kind for kind in watched.kinds() if kind != "pool_changed"] == [
        "learning_dropped",
        "artefact_dropped",
        "artefact_dropped",
    ]
    assert learning.levels == {"v1": 2, "v0": 2}
    assert learning.note
    learning.follow("v2")
    assert (learning.standing, learning.note) == ("learning", "")


def test_a_pool_that_collapses_is_found_and_learnt_anew() -> None:
    """Simulated: of three pools one falls from 0.8 to 0.2. In 19 of 20 runs that is found within 150 of its outcomes."""
    delays = []
    for seed in range(20):
        watched, rng = Watched(), Random(seed)
        truth = {"small": 0.5, "moe": 0.7, "large": 0.8}
        for at in range(2100):
            pool = rng.choice(tuple(truth))
            if at == 1500:
                assert watched.steps == []
                truth["large"], fallen = 0.2, 0
            if at >= 1500 and pool == "large" and not watched.steps:
                fallen += 1
            quality = {"small": 0.5, "moe": 0.7, "large": 0.8}[pool]
            occasion = watched.occasion(pool, quality, prior=quality)
            watched.learning.heard(occasion, float(rng.random() < truth[pool]), 0.0)
        assert {step.pool for step in watched.steps if step.kind == "pool_changed"} <= {"large"}
        delays.append(fallen)
        assert watched.believed("large", 0.8) < 0.4
    assert np.quantile(delays, 0.95) <= 150


def test_it_hears_while_outcomes_come_in_and_are_learnt_from() -> None:
    learning, mute = Watched().learning, Watched(enabled=False).learning
    assert not learning.hears(0.0)
    for each in (learning, mute):
        each.signalled(an_occasion(), Signal.ASKED_AGAIN, 100.0)
    assert learning.hears(100.0)
    assert learning.hears(100.0 + HEARS_WITHIN_S)
    assert not learning.hears(101.0 + HEARS_WITHIN_S)
    assert not mute.hears(100.0)
    learning.drop_learning("a test")
    assert not learning.hears(100.0)


def test_it_ages_by_a_clock_that_only_goes_forward() -> None:
    watched = Watched()
    for _ in range(100):
        watched.learning.heard(watched.occasion(), 0.0, 0.0)
    low = watched.believed()
    watched.learning.tick(1000.0)
    watched.learning.tick(1030.0)
    assert watched.believed() == low
    watched.learning.tick(5.0)  # back: no harm
    watched.learning.tick(5.0 + 30 * 24 * 3600)
    assert low < watched.believed() < 0.7
