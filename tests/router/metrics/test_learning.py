"""The trained choice on the metrics page."""

import pytest

from router.choosing.learning.exploration import Purse
from router.choosing.learning.learning import Learning, LearningFigures
from router.choosing.learning.shadow import Pair, ShadowBook
from router.learning_store import SharingFigures
from router.metrics import Metrics
from router.metrics.learning import exploration, learning, predictor, shadow, sharing
from router.predictor_files import PredictorFigures
from tests.router.test_metrics import Fleets, samples, value


def test_artefacts_and_files_that_were_not_taken() -> None:
    metrics = Metrics(Fleets())
    metrics.watch(lambda: predictor(PredictorFigures("v2", "v1", "", failures=3, dropped=1)))
    assert value(metrics, "predictor_info", version="v2", state="current") == 1
    assert value(metrics, "predictor_info", version="v1", state="previous") == 1
    assert len([name for name, _ in samples(metrics) if name == "predictor_info"]) == 2
    assert value(metrics, "predictor_reload_failures_total") == 3
    assert value(metrics, "predictor_dropped_total") == 1


def test_what_is_learnt_and_what_serves() -> None:
    figures = LearningFigures(
        "v1", "artefact", {("small", "feedback"): 2.5}, 0.5, 7, (0.1, 0.2, 0.3), {"small": 2}, {"learning_dropped": 1}
    )
    metrics = Metrics(Fleets())
    metrics.watch(lambda: learning(figures))
    states = {dict(labels)["state"]: at for (name, labels), at in samples(metrics).items() if name == "drift_state"}
    assert states == {"learning": 0, "artefact": 1, "previous": 0, "rule": 0}
    assert value(metrics, "learning_outcomes_total", pool="small", kind="feedback") == 2.5
    assert value(metrics, "learning_held_back_total") == 0.5
    brier = [value(metrics, "learning_brier", forecaster=who) for who in ("served", "artefact", "constant")]
    assert brier == [0.1, 0.2, 0.3]
    assert value(metrics, "drift_pool_changes_total", pool="small") == 2
    assert value(metrics, "drift_steps_total", kind="learning_dropped") == 1


def test_the_figures_are_those_that_the_learner_gives() -> None:
    metrics, learner = Metrics(Fleets()), Learning()
    metrics.watch(lambda: learning(learner.figures()))
    assert value(metrics, "drift_state", state="learning") == 1
    learner.drop_learning("for the test")
    assert value(metrics, "drift_state", state="artefact") == 1


def test_a_shadow_is_compared_while_there_is_one() -> None:
    metrics, book = Metrics(Fleets()), ShadowBook()
    metrics.watch(lambda: shadow(book.figures()))
    assert "shadow_agreement" not in {name for name, _ in samples(metrics)}
    book.follow("v9")
    book.decided(Pair("a", "a", 0.5, 0.5, 1.0, 1.0))
    book.decided(Pair("a", "b", 0.5, 0.75, 1.0, 0.5))
    book.judged("v9", 1.0, 0.5, 1.0)
    assert value(metrics, "shadow_requests_total") == 2
    assert value(metrics, "shadow_agreement") == 0.5
    assert (value(metrics, "shadow_quality_gain"), value(metrics, "shadow_saved_usd")) == (0.125, 0.25)
    assert value(metrics, "shadow_brier", state="current") == 0
    assert value(metrics, "shadow_brier", state="shadow") == 0.25


def test_purses_and_sharing() -> None:
    metrics, purse = Metrics(Fleets()), Purse(0.1)
    purse.spent(5.0)
    metrics.watch(lambda: exploration({"curious": purse}))
    metrics.watch(lambda: sharing(SharingFigures(connected=True, exchanged=4, failed=2, refused=1)))
    assert value(metrics, "exploration_purse_usd", policy="curious") == pytest.approx(0.5)
    assert value(metrics, "exploration_usd", policy="curious") == 0
    assert value(metrics, "exploration_tries_total", policy="curious") == 0
    assert value(metrics, "learning_store_up") == 1
    found = [value(metrics, f"learning_store_{name}_total") for name in ("exchanges", "failures", "refused")]
    assert found == [4, 2, 1]
