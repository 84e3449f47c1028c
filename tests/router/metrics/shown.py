"""A router's metrics once everything has happened that they count."""

from dataclasses import replace

from router.admission.figures import MoneyFigures
from router.choosing.learning.exploration import Purse
from router.choosing.learning.learning import LearningFigures
from router.choosing.learning.shadow import ShadowFigures
from router.learning_store import SharingFigures
from router.metrics import Metrics
from router.metrics.learning import exploration, learning, predictor, shadow, sharing
from router.metrics.money import money
from router.predictor_files import PredictorFigures
from router.request import BudgetState, Decision, Used
from tests.router.test_metrics import Fleets, finished


def all_metrics() -> Metrics:
    metrics = Metrics(Fleets())
    chosen = Decision("a", "m", "a1", "why", quality=0.75, exploring=True)
    metrics.finished(replace(finished(), decision=chosen, used=Used(1, 1, 1)), "red", "auto")
    metrics.failed("overloaded")
    metrics.failed("budget_exceeded", "red")
    metrics.resumed("a")
    metrics.decided(1e-5)
    metrics.escalated("a", "b")
    metrics.judged("a", 1.0, "good")
    metrics.rejudged("a")
    metrics.watch(lambda: money(MoneyFigures(True, True, states=(BudgetState("red", 1.0, 0.5, "day"),)), {"red": 1.0}))
    metrics.watch(lambda: predictor(PredictorFigures("v2", "v1", "v3", 0, 0)))
    taught, counts = {("a", "feedback"): 1.0}, {"a": 1}
    metrics.watch(lambda: learning(LearningFigures("v", "learning", taught, 0, 1, (0, 0, 0), counts, counts)))
    metrics.watch(lambda: shadow(ShadowFigures("v3")))
    metrics.watch(lambda: exploration({"curious": Purse(0.1)}))
    metrics.watch(lambda: sharing(SharingFigures()))
    return metrics
