"""The price of money: λ, the quality that a dollar must bring now, so that the budget lasts for its window and is used up.

Online dual descent on one constraint. The caller takes argmax quality − λ·cost; the gap, what was spent less what should have
been, is the sum of the dual's gradients, and λ is a rising function of it. Each report of the books replaces what was known, so
lost, late or repeated reports and restarts leave nothing behind.

docs/pacing.md has the bounds with their proofs. They follow Balseiro, Lu and Mirrokni, "The Best of Many Worlds: Dual Mirror
Descent for Online Allocation Problems" (Operations Research 71(1), 2023), with a potential in place of the mirror map.
"""

from dataclasses import dataclass
from math import exp, inf, sqrt

from router.choosing.pacing.ledger import LATE_S, Ledger
from router.choosing.pacing.plan import Line, Plan, Window
from router.choosing.pacing.profile import SLICES, Profile

CHEAPEST_USD = 1e-12  # a mean request below this is free
DEAREST_USD = 1e9  # a request above this is a mistake of the caller's
TOP = 9.0  # e^9 first prices are out of reach for any answer
SCARCE_SHARE = 0.005  # of the budget: where no more is left, λ is e times what the gap alone makes it
SCARCE_LEFT, SCARCEST = 0.01, 99.0
PLENTY = 0.1  # what scarcity adds while 5 % are left: no price may come of it while money is plenty
STEP = 0.01  # of the budget: no single report or request moves the centre by more than this much spending would
SURE = 256  # requests after which the scale of prices stands: routers must keep to one
CARRIED = 64  # requests that the mean costs of the window before count for


@dataclass(frozen=True, slots=True)
class PacingRule:
    """How the price follows the gap. Raises ValueError that names the field.

    first_price      quality, 0 to 1, that the typical cost of a request must bring while the gap is 0 and nothing was learnt
    headroom_share   of the budget, is not planned: what the last requests cost is known only after them
    bands            width of the band, in units of √(typical cost · budget): from each to the next λ rises by a factor e
    fall             bands behind the plan beyond which λ falls no further: no spending burst after an idle night
    slack_share      of the budget: further than this from the plan, the plan gives way, and the rest is spread anew
    centre_gain      how fast the λ of a gap of 0 moves towards λ: per band of gap and budget's worth of spending
    """

    first_price: float = 0.025
    headroom_share: float = 0.005
    bands: float = 1.0
    fall: float = 2.0
    slack_share: float = 0.05
    centre_gain: float = 10.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("first_price", 1e-6, 1.0),
            ("headroom_share", 0.0, 0.2),
            ("bands", 0.1, 10.0),
            ("fall", 0.5, 4.0),
            ("slack_share", 0.001, 1.0),
            ("centre_gain", 0.0, 100.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"pacing.{name}: must be from {low:g} to {high:g}")


@dataclass(frozen=True, slots=True)
class PacerFigures:
    """How it stands. `price` in quality per USD; `ahead_usd`: spent less planned; `ignored`: inputs that made no sense.

    band_usd   this much further ahead, the price is e times as high
    """

    price: float
    spent_usd: float
    planned_usd: float
    ahead_usd: float
    band_usd: float
    ignored: int


class Pacer:
    """One budget in one window, on one router. Others may pace the same budget: they meet in `spent`."""

    __slots__ = (
        *("_budget_usd", "_centre", "_counts", "_decided", "_fall", "_floor", "_gain", "_ignored", "_ledger", "_most_usd"),
        *("_next_scale", "_nil", "_per_band", "_plan", "_rule", "_scarce", "_slack_usd", "_typical_usd", "_unit", "_window"),
        *("_at_s", "_from_s", "_line_usd", "_slot", "_until_s", "_usd_per_s"),  # the line of the plan that holds now
    )

    def __init__(self, window: Window, rule: PacingRule | None = None, profile: Profile | None = None) -> None:
        self._rule = rule = rule or PacingRule()
        self._fall, self._gain = rule.fall, rule.centre_gain
        self._floor = 2 * rule.fall
        self._nil = exp(-self._floor)
        profile = profile or Profile()
        self._window = window
        self._plan = Plan.of(window, profile.sliced(max(SLICES, profile.slices)), rule.headroom_share)
        self._counts = [0] * self._plan.profile.slices
        self._ledger = Ledger(window.opening_usd)
        self._most_usd = window.opening_usd  # what the centre has moved for
        self._decided = 0
        self._next_scale: float = 1
        self._typical_usd = 0.0  # the sum
        self._unit = 0.0  # λ at a gap of 0, before the centre has moved
        self._centre = 0.0
        self._ignored = 0
        self._size(0.0)
        self._take(self._plan.line(window.start_s))

    @property
    def profile(self) -> Profile:
        """The traffic that this window's plan expects."""
        return self._plan.profile

    # Written out in one piece: it runs for every request.
    def price(self, now_s: float) -> float:
        """λ ≥ 0, quality per USD; 0 before the first request and while money is plenty. ValueError unless `now_s` is finite."""
        if not self._from_s <= now_s < self._until_s:
            self._take(self._plan.line(now_s))
        spent_usd = self._ledger.spent_usd
        steps = (spent_usd - self._line_usd - self._usd_per_s * (now_s - self._at_s)) * self._per_band
        left = (self._budget_usd - spent_usd) * self._per_band
        power = self._centre + (steps if steps > -self._fall else -self._fall)
        power += self._scarce / left if left > SCARCE_LEFT else SCARCEST
        return self._unit * (exp(power if power < TOP else TOP) - self._nil) if power > -self._floor else 0.0

    def decided(self, now_s: float, cost_usd: float, typical_usd: float | None = None) -> None:
        """One request was decided here, at this expected cost. Of two at the same moment, before `spent` has it too.

        `typical_usd` is the mean cost over the pools it could have gone to. It sets the scale of prices, and unlike the cost of
        what was chosen it does not follow from the price: routers that share a budget need it to agree.
        """
        typical_usd = cost_usd if typical_usd is None else typical_usd
        if not (0 <= cost_usd <= DEAREST_USD and 0 <= typical_usd <= DEAREST_USD):
            self._ignored += 1
            return
        if not self._from_s <= now_s < self._until_s:
            self._take(self._plan.line(now_s))
        self._ledger.add(now_s, cost_usd)
        if self._slot >= 0:
            self._counts[self._slot] += 1
        self._typical_usd += typical_usd
        self._decided += 1
        if self._decided >= self._next_scale:
            self._scale()
        if now_s - self._ledger.told_s > LATE_S:  # nobody tells what all have spent
            self._learn(now_s, self._ledger.spent_usd)

    def spent(self, now_s: float, spent_usd: float) -> None:
        """What the books showed at `now_s`, over all routers; nothing, if older than the last or than the window."""
        if not 0 <= spent_usd < inf or not -inf < now_s < inf:
            self._ignored += 1
            return
        first = self._ledger.told_s == -inf
        if now_s >= self._window.start_s and self._ledger.told(now_s, spent_usd):
            if first:  # what was made of own requests alone is void: this router may be one of many, or start in mid-window
                self._plan = Plan.of(self._window, self._plan.profile, self._rule.headroom_share)
                self._take(self._plan.line(now_s))
                self._most_usd = spent_usd
            self._learn(now_s, spent_usd)

    def rebudget(self, now_s: float, budget_usd: float) -> None:
        """The budget was changed: the plan goes on from where it is now. Raises ValueError that names the field."""
        window = Window(self._window.start_s, self._window.end_s, budget_usd, self._window.opening_usd)
        planned_usd = self._plan.line(now_s).planned_usd(now_s)
        self._plan = Plan.of(window, self._plan.profile, self._rule.headroom_share).through(now_s, planned_usd)
        self._window = window
        self._size(self._mean_usd())
        self._take(self._plan.line(now_s))

    def followed_by(self, window: Window, weight: float = 0.3) -> "Pacer":
        """For the window after this one: it knows the price, and takes a part, `weight`, of this one's traffic for usual."""
        if not self._decided:
            return Pacer(window, self._rule, self._plan.profile)
        follower = Pacer(window, self._rule, self._plan.profile.mixed(Profile.of(self._counts), weight))
        follower._decided = CARRIED
        follower._typical_usd = CARRIED * self._mean_usd()
        follower._scale()
        follower._centre = self._centre
        return follower

    def figures(self, now_s: float) -> PacerFigures:
        spent_usd = self._ledger.spent_usd
        planned_usd = self._plan.line(now_s).planned_usd(now_s)
        return PacerFigures(
            self.price(now_s), spent_usd, planned_usd, spent_usd - planned_usd, 1 / self._per_band, self._ignored
        )

    def _learn(self, now_s: float, spent_usd: float) -> None:
        """The centre goes towards the price, and a plan that is out of reach gives way.

        By money that was spent or given up, not by time: nothing is learnt while nobody asks. By what all have spent, so that
        all routers learn the same. By new highs only: what is held and given back is not spent twice.
        """
        if not self._from_s <= now_s < self._until_s:
            self._take(self._plan.line(now_s))
        gap_usd = spent_usd - self._line_usd - self._usd_per_s * (now_s - self._at_s)
        moved_usd = max(0.0, spent_usd - self._most_usd)
        if moved_usd or spent_usd < self._most_usd - self._slack_usd:  # or the books have forgotten
            self._most_usd = spent_usd
        if not -self._slack_usd <= gap_usd <= self._slack_usd and self._slot >= 0:
            kept_usd = 0.95 * (self._slack_usd if gap_usd > 0 else -self._slack_usd)
            self._plan = self._plan.through(now_s, spent_usd - kept_usd)
            self._take(self._plan.line(now_s))
            moved_usd += abs(gap_usd - kept_usd)
        progress = min(STEP, moved_usd / self._budget_usd) if self._budget_usd else STEP
        steps = max(-self._fall, min(self._fall, gap_usd * self._per_band))
        moved = self._centre + self._gain * steps * progress
        self._centre = max(self._fall - self._floor - PLENTY, min(TOP - self._floor, moved))

    def _scale(self) -> None:
        """The typical cost is known better with each doubling of the requests; between, the scale stands still."""
        self._next_scale = 2 * self._decided if self._decided < SURE else inf
        mean_usd = self._mean_usd()
        self._unit = self._rule.first_price / mean_usd if mean_usd > CHEAPEST_USD else 0.0
        self._size(mean_usd)

    def _mean_usd(self) -> float:
        return self._typical_usd / self._decided if self._decided else 0.0

    def _size(self, mean_usd: float) -> None:
        """The band is √(typical cost · budget): 1/√T of the budget where it buys T such requests, as the regret wants."""
        self._budget_usd = budget_usd = self._window.budget_usd
        width = min(0.1, max(0.002, self._rule.bands * sqrt(mean_usd / budget_usd))) if budget_usd > CHEAPEST_USD else 0.1
        self._per_band = 1 / max(CHEAPEST_USD, width * budget_usd)
        self._scarce = min(0.5, SCARCE_SHARE / width)
        self._slack_usd = max(self._rule.slack_share, 2 * self._fall * width) * budget_usd

    def _take(self, line: Line) -> None:
        self._from_s, self._until_s, self._at_s = line.from_s, line.until_s, line.at_s
        self._line_usd, self._usd_per_s, self._slot = line.usd, line.usd_per_s, line.slot
