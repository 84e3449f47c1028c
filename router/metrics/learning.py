"""Families of what is known of the trained choice: artefacts, what is learnt while serving, exploration, drift. Read when
somebody scrapes:

metrics.watch(lambda: [*predictor(files.figures()), *learning(learner.figures()), *shadow(book.figures())])
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from router.choosing.learning.exploration import Purse
from router.choosing.learning.learning import STANDINGS, LearningFigures
from router.choosing.learning.shadow import ShadowFigures
from router.metrics.families import counter, counters, gauge, gauges

if TYPE_CHECKING:
    from router.learning_store import SharingFigures
    from router.predictor_files import PredictorFigures


def predictor(figures: "PredictorFigures") -> Iterator[Metric]:
    states = {"current": figures.current, "previous": figures.previous, "shadow": figures.shadow}
    rows = [((version, state), 1.0) for state, version in states.items() if version]
    yield gauges("predictor_info", "Artefacts that are loaded, and what for.", ("version", "state"), rows)
    yield counter("predictor_reload_failures", "Files that were not taken.", figures.failures)
    yield counter("predictor_dropped", "Artefacts that were set aside for drift.", figures.dropped)


def learning(figures: LearningFigures) -> Iterator[Metric]:
    standing = [((state,), float(state == figures.standing)) for state in STANDINGS]
    yield gauges("drift_state", "1 for what serves now.", ("state",), standing)
    yield counters("learning_outcomes", "Weight of what was learnt from.", ("pool", "kind"), figures.taught.items())
    yield counter("learning_held_back", "Weight that was too much of one tenant.", figures.held_back)
    brier = [((name,), figure) for name, figure in zip(("served", "artefact", "constant"), figures.brier, strict=True)]
    yield gauges("learning_brier", "Rolling mean squared error of labelled outcomes.", ("forecaster",), brier)
    changed = [((pool,), float(count)) for pool, count in figures.changed.items()]
    yield counters("drift_pool_changes", "Times that a pool did otherwise than believed.", ("pool",), changed)
    dropped = [((kind,), float(count)) for kind, count in figures.dropped.items()]
    yield counters("drift_steps", "What drift made the router do.", ("kind",), dropped)


def shadow(figures: ShadowFigures) -> Iterator[Metric]:
    """Nothing where there is no shadow."""
    if not figures.version:
        return
    yield counter("shadow_requests", "Requests that the shadow was asked about.", figures.requests)
    yield gauge("shadow_agreement", "Share of them for which it would choose the same pool.", figures.agreement)
    yield gauge("shadow_quality_gain", "Mean gain in quality of its choices, by its own word.", figures.quality_gain)
    yield gauge("shadow_saved_usd", "Mean cost per request that its choices would save.", figures.saved_usd)
    brier = [(("current",), figures.brier), (("shadow",), figures.shadow_brier)]
    yield gauges("shadow_brier", "Mean squared error, both of the same outcomes.", ("state",), brier)


def exploration(purses: Mapping[str, Purse]) -> Iterator[Metric]:
    """By routing policy. No counter of USD: what is under way counts with the most it can cost, and some of that comes back."""
    extra = [((policy,), purse.extra_usd) for policy, purse in purses.items()]
    left = [((policy,), purse.usd) for policy, purse in purses.items()]
    tried = [((policy,), float(purse.tried)) for policy, purse in purses.items()]
    yield gauges("exploration_usd", "What trying pools cost beyond the best choice.", ("policy",), extra)
    yield gauges("exploration_purse_usd", "What is left for trying pools.", ("policy",), left)
    yield counters("exploration_tries", "Requests that tried another pool.", ("policy",), tried)


def sharing(figures: "SharingFigures") -> Iterator[Metric]:
    yield gauge("learning_store_up", "1 while what is learnt is shared with other routers.", float(figures.connected))
    yield counter("learning_store_exchanges", "Times that it was.", figures.exchanged)
    yield counter("learning_store_failures", "Times that it could not be.", figures.failed)
    yield counter("learning_store_refused", "Records of others that made no sense.", figures.refused)
