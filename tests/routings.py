"""The decisions as the composition root puts them together, for tests and benches: no files, no Redis, a clock of their own."""

from collections.abc import Callable
from random import Random

from router.choosing.experience import Experience, NoPredictors
from router.choosing.learning.learning import Learning
from router.choosing.quality.prediction import Predictor
from router.choosing.rule import AutoRule
from router.picking.prefix_index import PrefixIndex
from router.picking.registry import PickingConfig, build_pipeline
from router.routing import Routing


def routing_of(
    predictor: Predictor | None = None,
    *,
    shadow: Predictor | None = None,
    index: PrefixIndex | None = None,
    seed: int = 7,
    clock: Callable[[], float] = lambda: 0.0,
) -> Routing:
    """With the default settings."""
    experience = Experience(AutoRule(), Learning(), NoPredictors(predictor, shadow), Random(seed), clock)
    if predictor is not None:
        experience.learning.follow(predictor.version)
    return Routing(experience, build_pipeline(PickingConfig()), PrefixIndex() if index is None else index, Random(seed))
