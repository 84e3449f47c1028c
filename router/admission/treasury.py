"""A tenant's money on the request path: what it is worth now, setting it aside, settling it. One per router process.

Joins the books (`Money`, which may be Redis) with one pacer for each budget and window. Pacers are told what requests are
expected to cost when they are decided, and corrected by what the books say was spent over all routers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import time

from router.admission import windows
from router.admission.money import NOTHING_HELD, Expected, Hold, Money
from router.choosing.pacing.pacer import Pacer
from router.choosing.pacing.plan import Window
from router.choosing.terms import ROUTERS_OWN, Terms
from router.fleet.specs import PolicySpec
from router.request import BudgetState
from router.snapshot import Budget, Tenant

HORIZON_S = 30 * 24 * 3600  # over which a budget without a window is spread, again and again


@dataclass(slots=True)
class _Paced:
    """`open_usd`: what requests of this router that are under way are expected to cost; `seen_usd`: what was spent, at the last
    look.
    """

    budget: Budget
    end_s: float
    pacer: Pacer
    open_usd: float = 0.0
    seen_usd: float = 0.0


class Treasury:
    """`policies` gives the newest ones; equal tuples are one and the same. `clock` is Unix time."""

    def __init__(
        self,
        money: Money,
        policies: Callable[[], tuple[PolicySpec, ...]],
        pacer: Callable[[Window], Pacer] = Pacer,
        clock: Callable[[], float] = time,
        rng: Random | None = None,
    ) -> None:
        self._money = money
        self._policies = policies
        self._known: tuple[PolicySpec, ...] = ()
        self._by_name: dict[str, PolicySpec] = {}
        self._pacer = pacer
        self._clock = clock
        self._rng = rng or Random()
        self._paced: dict[str, _Paced] = {}

    def terms(self, tenant: Tenant) -> Terms:
        """What a request of this tenant is decided under, now."""
        policy = self._policy(tenant.policy) if tenant.policy else ROUTERS_OWN
        draw = self._rng.random() if policy.canaries else 1.0
        if not tenant.budgets:
            return Terms(policy, 0.0, draw) if policy.name else _PLAIN
        now_s = self._clock()
        # Every budget of the chain binds, so their prices add up.
        return Terms(policy, sum(self._of(budget, now_s).pacer.price(now_s) for budget in tenant.budgets), draw)

    async def hold(self, request_id: str, tenant: Tenant, bounds_usd: Sequence[float], expected: Expected) -> Hold:
        """Sets money aside, as `Money.reserve` does. Raises BudgetExhausted."""
        if not tenant.budgets:
            return NOTHING_HELD
        hold = await self._money.reserve(request_id, tenant, bounds_usd)
        self._seen(tenant, hold.states)
        for paced in self._all(tenant):
            paced.pacer.decided(self._clock(), expected.usd, expected.typical_usd)
            paced.open_usd += expected.usd
        return hold

    def settle(self, tenant: Tenant, hold: Hold, actual_usd: float, expected_usd: float) -> None:
        """Once for every hold, however the request ended."""
        if not tenant.budgets:
            return
        for paced in self._all(tenant):
            paced.open_usd = max(0.0, paced.open_usd - expected_usd)
        self._money.settle(tenant, hold, actual_usd)

    def states(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """As last seen."""
        return self._money.states(tenant)

    async def look(self, tenant: Tenant) -> tuple[BudgetState, ...]:
        """Asked anew."""
        states = await self._money.look(tenant)
        self._seen(tenant, states)
        return states

    def refusal(self, tenant: Tenant, bound_usd: float) -> str:
        """Why a request that can cost this much would be refused, by what was last seen; "" where it would not be."""
        if why := self._money.unavailable(tenant):
            return why
        for state in self._money.states(tenant):
            if state.hard and bound_usd > state.remaining_usd:
                return f"{state.tenant} has {state.remaining_usd:.6g} USD left, and this may cost up to {bound_usd:.6g}"
        return ""

    def prices(self) -> dict[str, float]:
        """What a dollar must bring, by the tenant whose budget it is; for metrics."""
        now_s = self._clock()
        return {name: paced.pacer.price(now_s) for name, paced in self._paced.items()}

    def _policy(self, name: str) -> PolicySpec:
        if (policies := self._policies()) is not self._known:
            self._known, self._by_name = policies, {policy.name: policy for policy in policies}
        return self._by_name.get(name, ROUTERS_OWN)

    def _all(self, tenant: Tenant) -> list[_Paced]:
        return [paced for budget in tenant.budgets if (paced := self._paced.get(budget.tenant)) is not None]

    def _of(self, budget: Budget, now_s: float) -> _Paced:
        """The pacer of this budget's present window. It goes on when the amount is changed, and hands its experience on when
        the window ends.
        """
        paced = self._paced.get(budget.tenant)
        if paced is None or paced.budget.window != budget.window:
            window = _window(budget, now_s, 0.0)
            paced = self._paced[budget.tenant] = _Paced(budget, window.end_s, self._pacer(window))
        elif now_s >= paced.end_s:
            window = _window(budget, now_s, paced.seen_usd)
            paced.budget, paced.end_s, paced.pacer = budget, window.end_s, paced.pacer.followed_by(window)
        elif paced.budget.usd != budget.usd:
            paced.budget = budget
            paced.pacer.rebudget(now_s, budget.usd)
        return paced

    def _seen(self, tenant: Tenant, states: Sequence[BudgetState]) -> None:
        """Reservations are upper bounds: for those of this router, what is expected counts instead; those of others come with
        the next look.
        """
        now_s = self._clock()
        for budget, state in zip(tenant.budgets, states, strict=False):
            paced = self._of(budget, now_s)
            paced.seen_usd = state.spent_usd - state.reserved_usd + paced.open_usd
            paced.pacer.spent(now_s, paced.seen_usd)


def _window(budget: Budget, now_s: float, seen_usd: float) -> Window:
    """`seen_usd`: what the books of a budget without a window show by then; those of any other begin at 0."""
    start_s, end_s = windows.bounds(budget.window, now_s)
    if end_s:
        return Window(start_s, end_s, budget.usd)
    return Window(now_s, now_s + HORIZON_S, budget.usd, seen_usd)


_PLAIN = Terms()
