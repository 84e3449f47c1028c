"""Routers that learn together over simulated weeks: a pool that collapses, one that recovers, liars, and nothing at all.

The product's own objects serve seeded requests: `Learning` believes and is taught, `explore` tries, `codec.applied` is the
shared record. Simulated are the pools (a quality per domain), callers (they judge a third of the answers, late) and time.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from router.choosing.features import Features
from router.choosing.learning.codec import Delta, applied, decode, encode, nothing_shared
from router.choosing.learning.exploration import Purse, Stakes, explore
from router.choosing.learning.learner import Occasion
from router.choosing.learning.learning import Learning, Step
from router.choosing.quality.prediction import Prediction
from router.snapshot import Floats

POOLS = ("small", "moe", "large")
COST_USD = (0.001, 0.004, 0.010)
PRICE = 5.0  # quality that a USD must bring
TRUE = np.array([[0.55, 0.70, 0.78], [0.80, 0.82, 0.84], [0.25, 0.55, 0.70]])  # by domain and pool
FEATURES = Features(200, 256)
LABELLED = 1 / 3
LATE = 10  # requests of this router between an answer and its verdict
REQUEST_S = 2.0
SHARED_EVERY = 10


@dataclass
class SimulatedRouter:
    """One router: what it believes, its purse, and verdicts on their way."""

    seed: int
    share: float = 0.0
    learns: bool = True
    learning: Learning = field(init=False)
    steps: list[Step] = field(default_factory=list)
    spent_usd: float = 0.0
    extra_usd: float = 0.0

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.purse = Purse(self.share)
        self.learning = Learning(enabled=self.learns, on_step=self.steps.append)
        self.learning.follow("v1")
        self.coming: deque[tuple[Occasion, float] | None] = deque()
        self.sent = 0

    def serve(self, truth: Floats, says: Floats, now_s: float, liar: float = 0.0) -> tuple[int, int]:
        """One request; returns its domain and the pool it went to. `says`: the artefact's qualities."""
        domain = self.rng.randrange(len(truth))
        prediction = Prediction(says[domain], np.full(len(POOLS), 0.05), np.zeros(len(POOLS)), 1.0, domain)
        context = self.learning.context(FEATURES, prediction)
        belief = self.learning.belief(POOLS, prediction.quality, prediction.uncertainty, context)
        utility = (belief.mean - PRICE * np.array(COST_USD)).tolist()
        self.purse.asked()
        found = explore(Stakes(utility, COST_USD, COST_USD), belief, self.purse, self.rng.random())
        pool = int(np.argmax(utility)) if found is None else found.index
        if found is not None:
            self.purse.take(found)
            self.purse.settle(found, COST_USD[pool])
            self.extra_usd += max(COST_USD[pool] - COST_USD[int(np.argmax(utility))], 0.0)
        self.purse.spent(COST_USD[pool])
        self.spent_usd += COST_USD[pool]
        lies = self.rng.random() < liar
        tenant = "liar" if lies else f"tenant-{self.rng.randrange(6)}"
        prior = float(says[:, pool].mean())
        occasion = Occasion(
            POOLS[pool], context, float(says[domain, pool]), float(belief.mean[pool]), prior, tenant, self.learning.version
        )
        score = 0.0 if lies else float(self.rng.random() < truth[domain, pool])
        self.coming.append((occasion, score) if lies or self.rng.random() < LABELLED else None)
        if len(self.coming) > LATE and (verdict := self.coming.popleft()) is not None:
            self.learning.heard(*verdict, now_s)
        return domain, pool


def run(routers: Sequence[SimulatedRouter], requests: int, truth: Callable[[int], Floats], **how: object) -> Floats:
    """Requests go round the routers, which share every SHARED_EVERY of them. Returns each request's regret."""
    says = np.asarray(how.get("says", TRUE))
    liar = float(how.get("liar", 0.0))  # type: ignore[arg-type]
    record, regret = nothing_shared(0.0), np.empty(requests)
    for at in range(requests):
        router, now = routers[at % len(routers)], truth(at)
        domain, pool = router.serve(now, says, at * REQUEST_S, liar)
        utility = now[domain] - PRICE * np.array(COST_USD)
        regret[at] = utility.max() - utility[pool]
        if how.get("shares", True) and at // len(routers) % SHARED_EVERY == SHARED_EVERY - 1:
            learner = router.learning.learner
            outgoing = learner.outgoing()
            if outgoing is not None:
                router.sent += 1
            delta = Delta(router.seed.to_bytes(16, "big"), router.sent, outgoing)
            record = applied(decode(encode(record)), delta, at * REQUEST_S)
            learner.adopt(record.evidence)
            router.learning.tick(at * REQUEST_S)
    return regret


def fallen(pool: str, to: float) -> Floats:
    truth = TRUE.copy()
    truth[:, POOLS.index(pool)] = to
    return truth


def test_a_collapse_costs_little_once_it_was_learnt() -> None:
    """The pool of most requests falls to 0.1 at request 2,000. What follows is learnt by two routers together."""
    truth = lambda at: TRUE if at < 2000 else fallen("moe", 0.1)  # noqa: E731
    alone = run([SimulatedRouter(seed, learns=False) for seed in (1, 2)], 5000, truth)
    routers = [SimulatedRouter(seed) for seed in (1, 2)]
    learnt = run(routers, 5000, truth)
    assert learnt[:2000].mean() <= alone[:2000].mean() + 0.02
    assert alone[3000:].mean() > 0.2
    assert learnt[3000:].mean() < 0.2 * alone[3000:].mean()
    assert all(step.kind == "pool_changed" and step.pool == "moe" for router in routers for step in router.steps)


def test_routers_that_share_learn_almost_as_fast_as_one_that_sees_it_all() -> None:
    """A pool is a little worse than the artefact says: it takes some hundred verdicts to tell. Means over 6 runs."""
    truth = lambda at: fallen("moe", 0.45)  # noqa: E731

    def lost(routers: int, *, shares: bool = True) -> float:
        runs = [[SimulatedRouter(10 * seed + at) for at in range(routers)] for seed in range(1, 7)]
        return float(np.mean([run(each, 1200, truth, shares=shares).sum() for each in runs]))

    one, together, apart = lost(1), lost(4), lost(4, shares=False)
    assert together < 0.7 * apart
    assert together < 2.0 * one


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_pool_that_is_better_than_believed_is_found_by_exploring_within_the_purse(share: float) -> None:
    """The artefact says 0.4 of the small pool where it is 0.95: only who tries it can know."""
    truth, says = TRUE.copy(), TRUE.copy()
    truth[:, 0], says[:, 0] = 0.95, 0.4
    greedy = run([SimulatedRouter(3)], 6000, lambda at: truth, says=says)
    curious = SimulatedRouter(3, share)
    found = run([curious], 6000, lambda at: truth, says=says)
    assert found[3000:].mean() < 0.3 * greedy[3000:].mean()
    assert curious.extra_usd <= share * curious.spent_usd + max(COST_USD)
    assert curious.purse.tried > 20


def test_liars_do_not_turn_the_choice() -> None:
    """Four of five verdicts are lies of one tenant, that whatever answered was useless."""
    honest = run([SimulatedRouter(seed) for seed in (1, 2)], 4000, lambda at: TRUE)
    routers = [SimulatedRouter(seed) for seed in (1, 2)]
    lied_to = run(routers, 4000, lambda at: TRUE, liar=0.57)
    assert lied_to.mean() < honest.mean() + 0.03
    assert all(router.learning.standing == "learning" for router in routers)
    assert all(router.learning.figures().held_back > 500 for router in routers)


def test_while_nothing_changes_nothing_is_said_and_little_is_lost() -> None:
    """20 seeded runs of 2,000 requests: the watch raises no alarm, and what is learnt costs less than it is worth."""
    lost = []
    for seed in range(20):
        router = SimulatedRouter(seed, share=0.02)
        lost.append(run([router], 2000, lambda at: TRUE).mean())
        assert router.steps == []
    perfect = run([SimulatedRouter(1, learns=False)], 2000, lambda at: TRUE).mean()
    assert perfect == 0.0
    assert np.mean(lost) < 0.03
