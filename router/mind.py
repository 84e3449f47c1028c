"""What stands behind `model: auto` in a running router: artefacts that are watched, what is learnt, and where that is kept.

Composition and its background work; what is thought is in `choosing/experience.py`.
"""

import asyncio
import os
from collections.abc import Iterator
from random import Random
from time import monotonic

from prometheus_client.core import Metric
from redis.asyncio import Redis

from router.choosing.experience import Experience, NoPredictors
from router.choosing.learning.learning import Learning
from router.config import ConfigError, RouterConfig
from router.learning_store import LearningStore, client_of
from router.metrics import Metrics
from router.metrics import learning as families
from router.predictor_files import PredictorFiles

TICK_S = 60.0


class Mind:
    """One per router. Raises ConfigError for a Redis URL that can't be one. `run` until cancelled; `close` before that."""

    def __init__(self, config: RouterConfig) -> None:
        learning = Learning(enabled=config.learning.enabled)
        self.experience = Experience(config.auto, learning, NoPredictors(), Random(), monotonic)
        self._files = PredictorFiles(config.predictor, learning, self.experience.book)
        self._files.start()
        self.experience.predictors = self._files
        self._redis = _redis(config)
        self._store = LearningStore(self._redis, learning) if self._redis is not None else None

    def shown_by(self, metrics: Metrics) -> None:
        """From now on the metrics tell what is learnt, and from what."""
        metrics.watch(self._families)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._files.run())
            tasks.create_task(self._fade())
            if self._store is not None:
                tasks.create_task(self._store.run())

    async def close(self) -> None:
        """Hands on what was learnt last."""
        if self._store is not None and self._redis is not None:
            await self._store.close()
            await self._redis.aclose()

    async def _fade(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.experience.tick()

    def _families(self) -> Iterator[Metric]:
        yield from families.predictor(self._files.figures())
        yield from families.learning(self.experience.learning.figures())
        yield from families.shadow(self.experience.book.figures())
        yield from families.exploration(self.experience.purses)
        if self._store is not None:
            yield from families.sharing(self._store.figures())


def _redis(config: RouterConfig) -> Redis | None:
    url = config.redis.url or os.environ.get("HEADGATE_REDIS_URL")
    if not url:
        return None
    try:
        return client_of(url, os.environ.get("HEADGATE_REDIS_PASSWORD"), config.redis.timeout_s)
    except ValueError as fault:
        raise ConfigError(f"redis.url, or HEADGATE_REDIS_URL: {fault}") from None
