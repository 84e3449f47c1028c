"""All that is learnt while serving, in one place: what to believe of the pools, what an outcome teaches, and when to step back.
Pure; the clock is an argument.

Steps back, and never forward again without a new artefact: from `learning` (artefact and what was learnt) to `artefact` (it
alone), then to the artefact before it (`previous`), then to the `rule` without any. `on_step` is told of each, and of pools
that changed.
"""

from collections.abc import Callable
from math import inf
from weakref import WeakKeyDictionary, WeakSet

from router.choosing.features import Features
from router.choosing.learning.context import Context, context
from router.choosing.learning.drift import Forecasts, Watch
from router.choosing.learning.evidence import left_after
from router.choosing.learning.learner import Belief, Learner, Occasion, Taught
from router.choosing.learning.shares import WATCH_FREE, TenantShares
from router.choosing.learning.signals import Signal, lesson
from router.choosing.learning.standing import STANDINGS, LearningFigures, Standing, Step
from router.choosing.quality.prediction import Prediction
from router.snapshot import Floats

__all__ = ["STANDINGS", "Learning", "LearningFigures", "Standing", "Step"]

# Evidence fades by so little in this time that it needs no looking at in between.
AGE_EVERY_S = 60.0
# Where nobody has said anything for this long, trying pools would be paid for nothing.
HEARS_WITHIN_S = 24 * 3600.0
MOST_VERSIONS = 100


class Learning:
    """One per router; used from one thread. `enabled` False: predictions stand as they are, and outcomes are only watched."""

    def __init__(self, *, enabled: bool = True, on_step: Callable[[Step], None] = lambda step: None) -> None:
        self._shares = TenantShares()
        self._watched = TenantShares(free=WATCH_FREE)
        self.levels: dict[str, int] = {}  # by version: 1 learning was dropped, 2 the artefact was
        self.on_step = on_step
        self._enabled = enabled
        self._taught: dict[tuple[str, str], float] = {}
        self._changed: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._held_back = 0.0
        self._aged_s: float | None = None
        self._heard_s = -inf
        self.follow("")

    def follow(self, version: str, standing: Standing = "learning") -> None:
        """Another artefact serves ("" is the rule): all that was learnt was about the one before, so it begins anew."""
        self.version = version
        self.standing: Standing = "artefact" if standing == "learning" and not self._enabled else standing
        self.learner = Learner()
        self._watch = Watch()
        self._verdicts: WeakKeyDictionary[Occasion, tuple[Taught, ...]] = WeakKeyDictionary()
        self._judged: WeakSet[Occasion] = WeakSet()

    def tenants(self, count: int) -> None:
        """How many there are: what guards them from each other is not needed where there is one."""
        self._shares.alone = self._watched.alone = count <= 1

    @property
    def note(self) -> str:
        """For the reason of a decision; "" where all is as it should be."""
        if self.standing == "learning" or (self.standing == "artefact" and not self._enabled):
            return ""
        return {
            "artefact": "what was learnt is set aside (drift)",
            "previous": "an older artefact serves (drift)",
            "rule": "the artefact is set aside (drift)",
        }[self.standing]

    def hears(self, now_s: float) -> bool:
        """Whether trying pools can teach anything: outcomes come in, and they are learnt from."""
        return self.standing == "learning" and now_s - self._heard_s <= HEARS_WITHIN_S

    def context(self, features: Features, prediction: Prediction) -> Context:
        return context(features, prediction)

    def belief(self, pools: tuple[str, ...], quality: Floats, uncertainty: Floats, seen: Context) -> Belief:
        """What to expect of each pool; arrays are the prediction's for `pools`, in that order."""
        if self.standing != "learning":
            return Belief(quality, uncertainty)
        return self.learner.belief(pools, quality, uncertainty, seen)

    def heard(self, occasion: Occasion, score: float, now_s: float) -> float:
        """A caller's verdict, 0 to 1. Returns the weight it was taken with, 0 where its tenant has said enough.

        Raises ValueError for a score out of range.
        """
        if not 0.0 <= score <= 1.0:
            raise ValueError("score must be within 0 and 1")
        weight = self._admitted(occasion, "feedback", 1.0, now_s)
        if not weight:
            return 0.0
        # Who changes their mind about an answer is no new evidence of drift.
        if occasion not in self._judged and (counted := self._watched.allow(occasion.tenant, weight, now_s)):
            self._judged.add(occasion)
            self._judge(occasion, score, counted)
        self._verdicts[occasion] = self._teach(occasion, score, weight)
        return weight

    def preferred(self, winner: Occasion, loser: Occasion, now_s: float) -> float:
        """A caller finds the one answer better than the other. Returns the weight it was taken with."""
        if winner.pool == loser.pool or loser.version != self.version:
            return 0.0
        weight = self._admitted(winner, "preference", 1.0, now_s)
        if weight and self.standing == "learning":
            self._verdicts[winner] = self.learner.prefer(winner, loser, weight)
        return weight

    def taken_back(self, occasion: Occasion) -> None:
        """The caller's verdict on this answer, or its preference over another one, holds no more."""
        taught = self._verdicts.pop(occasion, ())
        if occasion.version == self.version and self.standing == "learning":
            for each in taught:
                self.learner.take_back(each)

    def signalled(self, occasion: Occasion, signal: Signal, now_s: float) -> float:
        """A sign that nobody gave on purpose. It teaches, and is not evidence of drift."""
        taught = lesson(signal)
        weight = self._admitted(occasion, signal.value, taught.weight, now_s)
        if weight:
            self._teach(occasion, taught.score, weight)
        return weight

    def tick(self, now_s: float) -> None:
        """Lets evidence fade with time. Cheap; call it every few seconds, always with the same clock."""
        if self._aged_s is None or now_s < self._aged_s:
            self._aged_s = now_s
        elif now_s - self._aged_s >= AGE_EVERY_S:
            self.learner.age(left_after(now_s - self._aged_s))
            self._aged_s = now_s

    def drop_learning(self, why: str) -> None:
        """Goes on without what was learnt."""
        if self.standing != "learning":
            return
        self.standing = "artefact"
        self.learner, self._watch = Learner(), Watch()
        self._note_level(1)
        self._say(Step("learning_dropped", f"what was learnt is set aside, {self._name} goes on alone: {why}"))

    def drop_artefact(self, why: str) -> None:
        """Asks, by `on_step`, for the artefact before this one; whoever has the files answers with `follow`."""
        if self.standing == "rule":
            return
        name, self.standing = self._name, "rule"
        self._note_level(2)
        self._say(Step("artefact_dropped", f"{name} is set aside: {why}"))

    def figures(self) -> LearningFigures:
        served, artefact, prior = self._watch.brier()
        return LearningFigures(
            self.version,
            self.standing,
            dict(self._taught),
            self._held_back,
            self._watch.outcomes,
            (served, artefact, prior),
            dict(self._changed),
            dict(self._steps),
        )

    @property
    def _name(self) -> str:
        return f"artefact {self.version}" if self.version else "the rule"

    def _admitted(self, occasion: Occasion, kind: str, weight: float, now_s: float) -> float:
        if occasion.version != self.version or self.standing == "rule":
            return 0.0
        allowed = self._shares.allow(occasion.tenant, weight, now_s)
        self._held_back += weight - allowed
        self._heard_s = now_s
        key = (occasion.pool, kind)
        self._taught[key] = self._taught.get(key, 0.0) + allowed
        return allowed

    def _teach(self, occasion: Occasion, score: float, weight: float) -> tuple[Taught, ...]:
        if self.standing != "learning":
            return ()
        return (self.learner.observe(occasion.pool, occasion.context, occasion.predicted, score, weight),)

    def _judge(self, occasion: Occasion, score: float, weight: float) -> None:
        learning = self.standing == "learning"
        served = occasion.believed if learning else occasion.predicted
        alarms = self._watch.saw(occasion.pool, Forecasts(served, occasion.predicted, occasion.prior), score, weight)
        if not alarms:
            return
        served_brier, artefact_brier, prior_brier = self._watch.brier()
        if alarms.changed:
            self._pool_changed(occasion.pool, alarms.changed)
        if learning and (alarms.learning or alarms.worthless):
            against = "the artefact alone" if alarms.learning else "constants"
            other = artefact_brier if alarms.learning else prior_brier
            self.drop_learning(f"Brier score {served_brier:.3f} against {other:.3f} of {against}")
        elif alarms.worthless:
            self.drop_artefact(f"Brier score {served_brier:.3f} against {prior_brier:.3f} of constants")

    def _note_level(self, level: int) -> None:
        self.levels.pop(self.version, None)
        self.levels[self.version] = level
        while len(self.levels) > MOST_VERSIONS:
            del self.levels[next(iter(self.levels))]

    def _pool_changed(self, pool: str, how: str) -> None:
        self._changed[pool] = self._changed.get(pool, 0) + 1
        self.learner.forget(pool)
        then = "it is learnt anew"
        if self.standing != "learning":
            self._watch.mute(pool)
            then = "nothing is learnt at present"
        self._say(Step("pool_changed", f"pool {pool} does {how} than believed; {then}", pool))

    def _say(self, step: Step) -> None:
        self._steps[step.kind] = self._steps.get(step.kind, 0) + 1
        self.on_step(step)
